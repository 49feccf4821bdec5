/**
 * The journal: every task before it is sent and every reply before it is used, in SQLite (WAL,
 * synchronous=FULL). A run is a pure function of its journal, so a coordinator that was killed at any
 * moment replays it and goes on where it stopped. The file is locked until `close` or the end of the process.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { PlanSignature } from '@concordat/shared/wire/offers.ts';

export interface RunRecord {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly plan: string;
  /** Encoded Roster. */
  readonly roster: Uint8Array;
  readonly started: string;
  /** Of the plan, by the statistician who asks; null where it is not signed. */
  readonly signature: PlanSignature | null;
}

export interface TaskRecord {
  readonly round: number;
  readonly study: string;
  readonly analysis: string;
  /** SHA-256 of the task's body. */
  readonly digest: Uint8Array;
  /** Encoded SignedMessage. */
  readonly message: Uint8Array;
  /** Encoded SignedMessage; null while there is none. */
  readonly reply: Uint8Array | null;
  /** Why there will be no usable reply: `unreachable`, or the code of what was wrong with it. */
  readonly decision: string | null;
}

/** A task's reply, or why there will be none. */
export type Settlement = Pick<TaskRecord, 'digest' | 'reply' | 'decision'>;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS runs (
    id BLOB PRIMARY KEY, plan TEXT NOT NULL, roster BLOB NOT NULL, started TEXT NOT NULL,
    finished TEXT, published INTEGER NOT NULL DEFAULT 0, statistician BLOB, signature BLOB
  ) STRICT;
  CREATE TABLE IF NOT EXISTS tasks (
    run BLOB NOT NULL, round INTEGER NOT NULL, study TEXT NOT NULL, analysis TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE, message BLOB NOT NULL, reply BLOB, decision TEXT,
    PRIMARY KEY (run, round, study, analysis)
  ) STRICT;`;

const VERSION = 2;
const SQLITE_BUSY = 5;
/** SQLite's name for a journal without a file. */
const IN_MEMORY = ':memory:';

export class Journal {
  readonly #db: DatabaseSync;

  constructor(file: string) {
    try {
      // SQLite would make it readable for others. Only where it is not there: to close it would drop the lock that this process may have.
      if (file !== IN_MEMORY && !existsSync(file)) closeSync(openSync(file, 'a', 0o600));
      this.#db = new DatabaseSync(file);
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      const { user_version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
      if (user_version > VERSION) throw new Error(`version ${user_version}`);
      this.#db.exec(SCHEMA);
      if (user_version === 1) {
        this.#db.exec(
          'ALTER TABLE runs ADD COLUMN statistician BLOB; ALTER TABLE runs ADD COLUMN signature BLOB',
        );
      }
      this.#db.exec(`PRAGMA user_version = ${VERSION}`);
    } catch (cause) {
      if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) throw inUse(file);
      throw new ConcordatError('store/corrupt', 'the journal cannot be opened', {
        place: file,
        remedy:
          'check permissions and disk; if the file is damaged or of a newer version, restore it from a backup',
        cause,
      });
    }
  }

  createRun(run: RunRecord): void {
    this.#db
      .prepare(
        'INSERT INTO runs (id, plan, roster, started, statistician, signature) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(
        run.id,
        run.plan,
        run.roster,
        run.started,
        run.signature?.key ?? null,
        run.signature?.signature ?? null,
      );
  }

  /** The run that was started last and whose result is not published yet. */
  unfinishedRun(): RunRecord | null {
    const columns = 'id, plan, roster, started, statistician, signature';
    const row = this.#db
      .prepare(`SELECT ${columns} FROM runs WHERE published = 0 ORDER BY rowid DESC LIMIT 1`)
      .get();
    if (row === undefined) return null;
    const { statistician, signature, ...run } = row as unknown as Omit<RunRecord, 'signature'> & {
      readonly statistician: Uint8Array | null;
      readonly signature: Uint8Array | null;
    };
    return {
      ...run,
      signature: statistician === null || signature === null ? null : { key: statistician, signature },
    };
  }

  /** When the last answer was in; keeps the first time given, so that a result published again has the same bytes. */
  finishRun(id: Uint8Array, finished: string): string {
    this.#db.prepare('UPDATE runs SET finished = coalesce(finished, ?) WHERE id = ?').run(finished, id);
    return (this.#db.prepare('SELECT finished FROM runs WHERE id = ?').get(id) as { finished: string })
      .finished;
  }

  markPublished(id: Uint8Array): void {
    this.#db.prepare('UPDATE runs SET published = 1 WHERE id = ?').run(id);
  }

  tasks(run: Uint8Array, round: number): readonly TaskRecord[] {
    return this.#db
      .prepare(
        'SELECT round, study, analysis, digest, message, reply, decision FROM tasks WHERE run = ? AND round = ?',
      )
      .all(run, round) as unknown as readonly TaskRecord[];
  }

  addTasks(run: Uint8Array, tasks: readonly Omit<TaskRecord, 'reply' | 'decision'>[]): void {
    const insert = this.#db.prepare(
      'INSERT INTO tasks (run, round, study, analysis, digest, message) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#transaction(() => {
      for (const task of tasks)
        insert.run(run, task.round, task.study, task.analysis, task.digest, task.message);
    });
  }

  /** All or none; a reply or decision that is there already stays. */
  settle(settlements: readonly Settlement[]): void {
    const update = this.#db.prepare(
      'UPDATE tasks SET reply = ?, decision = ? WHERE digest = ? AND reply IS NULL AND decision IS NULL',
    );
    this.#transaction(() => {
      for (const { digest, reply, decision } of settlements) update.run(reply, decision, digest);
    });
  }

  /** Overwrites for good what was asked and answered in runs that are published; the runs themselves stay. */
  forget(runs: readonly Uint8Array[]): void {
    this.#db.exec('PRAGMA secure_delete = ON');
    const forget = this.#db.prepare(
      'DELETE FROM tasks WHERE run = ? AND run IN (SELECT id FROM runs WHERE published = 1)',
    );
    this.#transaction(() => {
      for (const run of runs) forget.run(run);
    });
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  close(): void {
    this.#db.close();
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}

function inUse(file: string): ConcordatError {
  return new ConcordatError('run/conflict', 'another process works with this journal', {
    place: file,
    remedy: 'a run has one coordinator: stop the other one, or wait for its end',
  });
}
