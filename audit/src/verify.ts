/** The whole audit: each log by itself, logs against each other, and what was published against them. Trusts neither side. */
import type { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { GivenLog } from './audited-log.ts';
import { byCause, type Finding, type Note, type Report } from './finding.ts';
import { COORDINATOR, originOf, PartyKeys, type KeyUsed, type Party } from './keys.ts';
import { LogAudit } from './log-audit.ts';
import { checkPair, checkSplitView, type ReadLog } from './pair.ts';
import { takeNotes, type NotedLog } from './notes.ts';
import { Plans } from './plans.ts';
import { NOT_RECOMPUTED } from './policy-check.ts';
import { lacking, recomputed, Replays, withoutLogs, type ReplayedRun } from './replays.ts';
import { checkAttestation, readResult, type GivenFile } from './result-check.ts';

export interface AuditInput {
  readonly logs: readonly GivenLog[];
  /** By party; of the others what the logs say is believed, and said. */
  readonly keys: ReadonlyMap<Party, Uint8Array>;
  readonly plan: GivenFile | null;
  readonly result: GivenFile | null;
  readonly attestation: GivenFile | null;
  /** Told of every entry that is read. */
  readonly progress: () => void;
}

/** What is known of a log that was read. */
export interface AuditedLog {
  readonly log: string;
  readonly party: Party;
  readonly entries: number;
  /** Of the checkpoint, hex; null where there is none. */
  readonly root: string | null;
  /** Messages whose numbers were withheld or erased. */
  readonly hidden: number;
  /** Answers of which nobody can say whether they were allowed, since texts that decide were withheld or erased. */
  readonly unjudged: number;
}

export interface AuditedRun {
  /** Hex. */
  readonly run: string;
  /** SHA-256 of the plan, hex; null where its offer cannot be seen. */
  readonly plan: string | null;
  /** Of a given result of this run: whether it is, bit for bit, what the messages give. Null where none was given, or it could not be computed. */
  readonly reproduced: boolean | null;
  /** Why it was not computed again; null where it was. */
  readonly notReplayed: string | null;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  readonly notes: readonly Note[];
  readonly logs: readonly AuditedLog[];
  readonly runs: readonly AuditedRun[];
  readonly keys: readonly KeyUsed[];
  /** Parties that the rosters name, whose logs were not given. */
  readonly missing: readonly Party[];
  /** Rules that no log shows to have been kept. */
  readonly notRecomputed: readonly string[];
}

export function verify(input: AuditInput): Verdict {
  return new Verification(input).verdict();
}

/** Name of a result that was not given. */
const RESULT = 'result.json';

class Verification {
  readonly #input: AuditInput;
  readonly #keys: PartyKeys;
  readonly #plans = new Plans();
  readonly #findings: Finding[] = [];
  readonly #notes: Note[] = [];
  readonly #report: Report = {
    find: (finding) => void this.#findings.push(finding),
    note: (note) => void this.#notes.push(note),
  };
  readonly #logs: AuditedLog[] = [];
  readonly #read: ReadLog[] = [];
  readonly #noted: NotedLog[] = [];
  /** Runs (hex) that entries are about, also where what they say is hidden. */
  readonly #runs = new Set<string>();
  /** By run (hex): digest of its plan, its roster, and the digest of the result that the coordinator logged. */
  readonly #planOf = new Map<string, string>();
  readonly #rosterOf = new Map<string, Roster>();
  readonly #resultOf = new Map<string, string>();
  readonly #attestationsOf = new Map<string, Set<string>>();
  /** What is found of the result and in replays is told behind what is found in and between the logs. */
  readonly #foundLater: Finding[] = [];
  readonly #later: Report = { ...this.#report, find: (finding) => void this.#foundLater.push(finding) };
  readonly #result: Result | null;
  readonly #replays: Replays;
  readonly #replayed: ReplayedRun[] = [];

  constructor(input: AuditInput) {
    this.#input = input;
    this.#keys = new PartyKeys(input.keys);
    const { result, logs } = input;
    this.#result = result === null ? null : readResult(result, this.#later);
    const owners = logs.map(({ owner }) => owner);
    this.#replays = new Replays(owners, this.#result, result?.name ?? RESULT, this.#later);
  }

  verdict(): Verdict {
    for (const log of this.#input.logs) this.#readLog(log);
    for (const noted of this.#noted) takeNotes(noted, this.#keys, this.#report);
    const coordinator = this.#read.find(({ owner }) => owner.party === COORDINATOR) ?? null;
    const sites = this.#read.filter(({ owner }) => owner.party !== COORDINATOR);
    if (coordinator === null) checkSplitView(sites, this.#report);
    else for (const site of sites) checkPair(site, coordinator, this.#rosterOf, this.#report);
    const { result: given, attestation } = this.#input;
    const runs = this.#replay(coordinator !== null);
    this.#findings.push(...this.#foundLater);
    this.#checkPublished(this.#result);
    if (attestation !== null)
      checkAttestation(
        attestation,
        given,
        {
          keys: this.#keys,
          coordinator,
          sites,
          runs: this.#runs,
          plans: this.#planOf,
          rosters: this.#rosterOf,
          results: this.#resultOf,
          attestations: this.#attestationsOf,
        },
        this.#report,
      );
    const named = new Set(
      [...this.#rosterOf.values()].flatMap(({ sites: all }) => all.map(({ study }) => study)),
    );
    return {
      findings: byCause(this.#findings),
      notes: this.#notes,
      logs: this.#logs,
      runs,
      keys: this.#keys.used(),
      missing: [COORDINATOR, ...named].filter(
        (party) => !this.#read.some(({ owner }) => owner.party === party),
      ),
      notRecomputed: sites.length === 0 ? [] : NOT_RECOMPUTED,
    };
  }

  #readLog({ owner, read }: GivenLog): void {
    const audit = new LogAudit(owner, this.#keys, this.#plans, this.#report);
    const given = new Map([...this.#input.keys].map(([party, key]) => [originOf(party), key]));
    const entries = read(given, this.#report);
    let next = entries.next();
    while (next.done !== true) {
      const { entry } = next.value;
      const message = audit.take(next.value);
      // While it is read, so that its messages are not read and decoded twice.
      const run = owner.party === COORDINATOR ? this.#replays.take(owner, next.value, message) : null;
      if (run !== null) this.#replayed.push(run);
      if (entry.run !== undefined) this.#takeRun(entry.run, entry);
      this.#input.progress();
      next = entries.next();
    }
    const { origin, checkpoint, tree, proven } = next.value;
    if (origin !== null && origin !== owner.origin)
      this.#report.find({
        kind: 'signature',
        place: { log: owner.origin, file: 'checkpoint' },
        message: `the checkpoint is that of another log: ${origin}`,
      });
    audit.finish(proven);
    this.#noted.push({ owner, index: audit.index, end: next.value });
    for (const [run, { plan, sites }] of audit.runs) {
      this.#planOf.set(run, plan.digest);
      if (sites !== undefined) this.#rosterOf.set(run, sites);
    }
    const head = checkpoint ?? { size: tree.size, root: tree.root() };
    this.#read.push({ owner, index: audit.index, checkpoint: head, tree, proven });
    this.#logs.push({
      log: owner.origin,
      party: owner.party,
      entries: tree.size,
      root: checkpoint === null ? null : toHex(checkpoint.root),
      hidden: audit.hidden,
      unjudged: audit.unjudged,
    });
  }

  /** A run that was published again, after a crash, has the same result and may have another attestation. */
  #takeRun(run: string, { kind, detail }: LogEntry): void {
    this.#runs.add(run);
    const approved = kind === 'approved' ? detail?.['plan'] : undefined;
    // An offer that can be seen says it better.
    if (typeof approved === 'string' && !this.#planOf.has(run)) this.#planOf.set(run, approved);
    if (kind !== 'result') return;
    this.#resultOf.set(run, `${detail?.['result']}`);
    const attested = this.#attestationsOf.get(run) ?? new Set();
    this.#attestationsOf.set(run, attested.add(`${detail?.['attestation']}`));
  }

  /** Every run again; without the coordinator's log from those of the sites, once it is known that they are all there. */
  #replay(fromCoordinator: boolean): AuditedRun[] {
    const { logs, result: file } = this.#input;
    const owners = logs.map(({ owner }) => owner);
    const able = [...this.#rosterOf].filter(([, roster]) => lacking(roster, owners).length === 0);
    // Read a second time only where something of it can be replayed.
    const runs: Iterable<Omit<ReplayedRun, 'computed'>> =
      able.length === 0
        ? [...this.#rosterOf].map(([run, roster]) => ({
            run,
            reproduced: null,
            notReplayed: withoutLogs(lacking(roster, owners)),
          }))
        : fromCoordinator
          ? [...this.#replayed, ...this.#replays.rest()]
          : recomputed(logs, this.#result, file?.name ?? RESULT, this.#later);
    return [...runs].map(({ run, reproduced, notReplayed }) => ({
      run,
      plan: this.#planOf.get(run) ?? null,
      reproduced,
      notReplayed,
    }));
  }

  /** The files that were given, against what the logs name. */
  #checkPublished(result: Result | null): void {
    const { plan, result: file } = this.#input;
    if (result !== null && file !== null) {
      const logged = this.#resultOf.get(result.run.id);
      const digest = toHex(sha256(file.text));
      if (logged !== undefined && logged !== digest)
        this.#report.find({
          kind: 'result',
          place: { file: file.name, run: result.run.id },
          message: `the file is not the one that the coordinator published for this run: SHA-256 ${digest}, and its log says ${logged}`,
        });
      if (!this.#runs.has(result.run.id))
        this.#report.find({
          kind: 'result',
          place: { file: file.name, run: result.run.id, field: 'run.id' },
          message: 'the logs hold no run of which this could be the result',
        });
    }
    if (plan === null) return;
    const digest = toHex(sha256(plan.text));
    const of = result === null ? [...this.#runs] : [result.run.id];
    if (of.some((run) => this.#planOf.get(run) === digest)) return;
    if (of.some((run) => this.#runs.has(run) && !this.#planOf.has(run))) {
      this.#report.note({
        place: { file: plan.name },
        message: 'whether the plan was offered cannot be seen: an offer was withheld or erased',
      });
      return;
    }
    this.#report.find({
      kind: 'approval',
      place: { file: plan.name, ...(result === null ? {} : { run: result.run.id }) },
      message: `the plan was not offered in ${result === null ? 'any run of these logs' : 'the run of the result'}: SHA-256 ${digest}`,
    });
  }
}
