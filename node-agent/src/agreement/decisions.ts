/** What the custodians decided, as the log holds it. */
import { approvalsAfter, type Approval } from '@concordat/shared/agreement/approvals.ts';
import {
  isOvertakenBy,
  readSigned,
  readStatement,
  statementDigest,
  subjectsOf,
  type RefuseStatement,
  type ReleaseStatement,
  type Signer,
  type SignedStatement,
  type Statement,
} from '@concordat/shared/agreement/statements.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import type { LogItem, MessageLog } from '@concordat/shared/log/message-log.ts';

import { dropStatement, waitingStatements } from './statement-files.ts';

/** Why a statement is not taken. */
export type StatementFault =
  | 'malformed'
  | 'another-study'
  | 'not-custodian'
  | 'not-waiting'
  | 'roster-differs'
  | 'data-changed'
  | 'agreement-changed'
  | 'payload-differs'
  /** A custodian said no later. */
  | 'overtaken';

export class Decisions {
  readonly #log: MessageLog;
  readonly #state: string;
  readonly #study: string;
  readonly #taken = new Set<string>();
  #approvals: readonly Approval[] = [];
  /** Of every approval that was ever taken, by its digest. */
  readonly #approvers = new Map<string, Signer>();
  /** The last word about each run, plan and task. */
  readonly #words = new Map<string, Statement>();
  /** By run. */
  readonly #refusals = new Map<string, RefuseStatement & Signer>();
  /** By plan: of those that no custodian has approved since. */
  readonly #refusedPlans = new Map<string, RefuseStatement & Signer>();
  /** By task. */
  readonly #releases = new Map<string, ReleaseStatement & Signer>();

  constructor(log: MessageLog, state: string, study: string) {
    this.#log = log;
    this.#state = state;
    this.#study = study;
    for (const entry of log.entries) {
      const signed = statementIn(entry, (logged) => log.body(logged));
      const statement = signed === null ? null : readStatement(signed);
      if (signed !== null && statement !== null) this.#keep(signed, statement);
    }
  }

  get approvals(): readonly Approval[] {
    return this.#approvals;
  }

  /** The custodian's no to a run, if the last word about it is one. */
  refusalOf(run: string): RefuseStatement | null {
    return this.#refusals.get(run) ?? null;
  }

  /** The plans that a custodian refused and none has approved since. */
  get refusedPlans(): readonly RefuseStatement[] {
    return [...this.#refusedPlans.values()];
  }

  /** Who signed an approval (SHA-256, hex), also one that was taken back; null where it is none. */
  signerOf(approval: string): Signer | null {
    return this.#approvers.get(approval) ?? null;
  }

  releaseOf(task: string): (ReleaseStatement & Signer) | null {
    return this.#releases.get(task) ?? null;
  }

  /**
   * Takes the statements that wait into the log: those that `faultOf` finds nothing against, in the order in which they were signed; of
   * the others that they came, and why they count for nothing. True where one was taken.
   */
  async take(faultOf: (statement: Statement) => Promise<StatementFault | null>): Promise<boolean> {
    let some = false;
    for (const { file, signed, statement } of waitingStatements(this.#state)) {
      if (signed !== null && this.#taken.has(statementDigest(signed))) {
        // Logged before a crash that came before the file was dropped.
        dropStatement(file);
        continue;
      }
      const fault =
        statement === null
          ? 'malformed'
          : statement.study !== this.#study
            ? 'another-study'
            : this.#isOvertaken(statement)
              ? 'overtaken'
              : await faultOf(statement);
      if (signed === null || statement === null || fault !== null) {
        this.#log.append({
          kind: 'refused',
          detail: {
            fault: fault ?? 'malformed',
            ...(signed === null ? {} : { statement: statementDigest(signed) }),
          },
        });
      } else {
        this.#log.append(
          {
            kind: 'decision',
            ...placeOf(statement),
            type: 'statement',
            detail: { statement: statementDigest(signed) },
          },
          Buffer.from(JSON.stringify(signed)),
        );
        this.#keep(signed, statement);
        some = true;
      }
      dropStatement(file);
    }
    return some;
  }

  /** A yes that comes late, after the no that replaced it. */
  #isOvertaken(statement: Statement): boolean {
    return subjectsOf(statement).some((subject) => {
      const word = this.#words.get(subject);
      return word !== undefined && isOvertakenBy(statement, word);
    });
  }

  #keep(signed: SignedStatement, statement: Statement): void {
    const digest = statementDigest(signed);
    this.#taken.add(digest);
    this.#approvals = approvalsAfter(this.#approvals, signed, statement);
    for (const subject of subjectsOf(statement)) this.#words.set(subject, statement);
    switch (statement.kind) {
      case 'approve':
        this.#approvers.set(digest, statement);
        this.#refusals.delete(statement.run);
        this.#refusedPlans.delete(statement.plan);
        return;
      case 'refuse':
        this.#refusals.set(statement.run, statement);
        this.#refusedPlans.set(statement.plan, statement);
        return;
      case 'release':
      case 'withhold':
        this.#releases.set(statement.task, statement);
        return;
    }
  }
}

/** The statement that a log entry holds; null where it holds none. */
export function statementIn(
  entry: LogEntry,
  bodyOf: (entry: EntryWithBody) => Uint8Array,
): SignedStatement | null {
  return entry.type === 'statement' && hasBody(entry)
    ? readSigned(Buffer.from(bodyOf(entry)).toString('utf8'))
    : null;
}

function placeOf(statement: Statement): Pick<LogItem['entry'], 'run' | 'task'> {
  return 'run' in statement ? { run: statement.run } : { task: statement.task };
}
