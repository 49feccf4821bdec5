/** A site's log and the coordinator's, held against each other: each says what it sent and received, and what it saw of the other. */
import type { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { MerkleTree, TreeHead } from '@concordat/shared/log/merkle.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

import { hashKey } from './bundle.ts';
import type { FindingKind, Note, Place, Report } from './finding.ts';
import { COORDINATOR, named } from './keys.ts';
import type { KnownDivergence, LogIndex, Mention, Sighting, TaskIndex } from './log-index.ts';
import type { Owner } from './logged-message.ts';
import { Tally } from './tally.ts';

/** A log that was read to its end. */
export interface ReadLog {
  readonly owner: Owner;
  readonly index: LogIndex;
  readonly checkpoint: TreeHead;
  readonly tree: Pick<MerkleTree, 'size' | 'root'>;
  /** Whether the entries are those of the checkpoint. */
  readonly proven: boolean;
}

/** Clocks may be apart by this much. */
const SKEW = 5 * 60_000;

/** `rosters`: of the coordinator's runs, by run (hex). */
export function checkPair(
  site: ReadLog,
  coordinator: ReadLog,
  rosters: ReadonlyMap<string, Roster>,
  report: Report,
): void {
  const { party } = site.owner;
  const others = [...rosters].flatMap(([run, { sites }]) =>
    sites.some(({ study, key }) => study === party && isOther(site, key)) ? [run] : [],
  );
  if (others.length > 0)
    report.note({
      place: { log: site.owner.origin },
      message: `${others.length === 1 ? `the run ${others[0]} is` : `${others.length} runs are`} under another key of ${named(party)}: its log of that time was not given, and is not compared`,
    });
  new Pair(site, coordinator, new Set(others), report).check();
}

/** Whether a site's key is another one than that which its log is signed with. */
export const isOther = ({ index }: ReadLog, key: Uint8Array): boolean =>
  index.key !== null && !sameBytes(index.key, key);

class Pair {
  readonly #site: ReadLog;
  readonly #coordinator: ReadLog;
  readonly #report: Report;
  readonly #tally: Tally;
  readonly #notes = new Map<string, { readonly note: Note; more: number }>();
  /** Tasks of the coordinator's log to this site, by round and analysis of their run. */
  readonly #slots = new Map<string, string>();
  /** Runs (hex) under another key of the site, which has another log of them. */
  readonly #others: ReadonlySet<string>;
  /** From this entry of the coordinator's log on, what it received is behind the end of the site's; and the other way round. */
  #siteEnd = Infinity;
  #coordinatorEnd = Infinity;

  constructor(site: ReadLog, coordinator: ReadLog, others: ReadonlySet<string>, report: Report) {
    this.#others = others;
    this.#site = site;
    this.#coordinator = coordinator;
    this.#report = report;
    this.#tally = new Tally(report);
  }

  check(): void {
    this.#siteEnd = checkSightings(this.#coordinator, this.#site, this.#report);
    this.#coordinatorEnd = checkSightings(this.#site, this.#coordinator, this.#report);
    const study = this.#site.owner.party;
    const sent = this.#coordinator.index.tasks;
    for (const [name, task] of sent)
      if (task.study === study && task.asked !== null) this.#slots.set(slotOf(task), name);
    for (const [name, here] of this.#site.index.tasks) this.#compare(here, sent.get(name) ?? null);
    for (const [name, there] of sent)
      if (there.study === study && !this.#others.has(there.run) && !this.#site.index.tasks.has(name))
        this.#notReceived(there);
    this.#tally.finish();
    for (const { note, more } of this.#notes.values())
      this.#report.note(
        more === 0 ? note : { ...note, message: `${note.message} (and ${more} times more in this run)` },
      );
  }

  /** A task that the site's log has, as both sides have it. */
  #compare(here: TaskIndex, there: TaskIndex | null): void {
    if (here.asked !== null) this.#compareTask(here, here.asked, there);
    if (here.answer !== null) this.#compareAnswer(here, here.answer, there);
    else if (there?.answer != null) this.#lacksAnswer(there, there.answer);
  }

  #compareTask(here: TaskIndex, received: Mention, there: TaskIndex | null): void {
    const sent = there?.asked ?? null;
    if (sent === null) {
      if (received.n >= this.#coordinatorEnd) return;
      const other = this.#slots.get(slotOf(here));
      const instead = other === undefined ? null : this.#coordinator.index.tasks.get(other)!.asked;
      if (instead !== null)
        return this.#find(
          'mutation',
          this.#place(this.#coordinator, here, instead.n),
          `the coordinator’s log has another question here than the site received at entry ${received.n} of ${this.#site.owner.origin}`,
          [this.#site, received.n],
        );
      return this.#find(
        'omission',
        this.#place(this.#coordinator, here, null),
        `the coordinator’s log does not hold a question that it signed and the site received: entry ${received.n} of ${this.#site.owner.origin}`,
        [this.#site, received.n],
      );
    }
    if (received.digest !== null && sent.digest !== null && received.digest !== sent.digest)
      this.#find(
        'mutation',
        this.#place(this.#coordinator, here, sent.n),
        `the question was received with other bytes: entry ${received.n} of ${this.#site.owner.origin}`,
        [this.#site, received.n],
      );
    this.#compareTimes(here, [this.#coordinator, sent], [this.#site, received]);
  }

  #compareAnswer(here: TaskIndex, sent: Mention, there: TaskIndex | null): void {
    const taken = there?.answer ?? null;
    const logged = [...(taken === null ? [] : [taken]), ...(there?.unused ?? [])];
    if (logged.length === 0) return this.#neverTaken(here, sent, there);
    const same = logged.find(
      ({ digest }) => digest === null || sent.digest === null || digest === sent.digest,
    );
    const first = same ?? logged[0]!;
    if (same === undefined)
      this.#find(
        'mutation',
        this.#place(this.#site, here, sent.n),
        `the site’s log has another answer here than the coordinator ${taken === null ? 'received' : 'took'} at entry ${first.n} of ${this.#coordinator.owner.origin}: one of the two was changed`,
        [this.#coordinator, first.n],
      );
    else if (taken !== null && taken !== same)
      this.#find(
        'fork',
        this.#place(this.#site, here, sent.n),
        `the site gave the coordinator two answers: the one that counted is entry ${taken.n} of ${this.#coordinator.owner.origin}, and the site’s log has the other`,
        [this.#coordinator, taken.n],
      );
    this.#compareTimes(here, [this.#site, sent], [this.#coordinator, first]);
    // Where the site's own times of question and answer lie, they lie together.
    const asked = there?.asked ?? null;
    if (asked !== null) this.#compareTimes(here, [this.#coordinator, asked], [this.#site, sent], 'answered');
  }

  /** An answer that the coordinator's log lacks. */
  #neverTaken(here: TaskIndex, sent: Mention, there: TaskIndex | null): void {
    // That the question is not there is told already.
    if (here.asked !== null && there === null) return;
    const place = this.#place(this.#coordinator, here, null);
    const where = `entry ${sent.n} of ${this.#site.owner.origin}`;
    const givenUp = there?.givenUp ?? null;
    if (givenUp !== null)
      this.#note('given up', {
        place: { ...place, entry: givenUp },
        message: `the site answered (${where}), and the coordinator had stopped waiting: the answer did not arrive in time`,
      });
    else if ((this.#coordinator.index.rounds.get(here.run) ?? 0) <= here.round)
      this.#note('under way', {
        place,
        message: `the site answered (${where}), and the run came no further: the answer may have been under way`,
      });
    else
      this.#find(
        'omission',
        place,
        `the coordinator’s log holds neither an answer that the site sent (${where}) nor that none came, and the run went on`,
        [this.#site, sent.n],
      );
  }

  #lacksAnswer(task: TaskIndex, taken: Mention): void {
    if (taken.n >= this.#siteEnd) return;
    const where = `entry ${taken.n} of ${this.#coordinator.owner.origin}`;
    // Without the bytes nothing shows that the site signed any: it is the coordinator's word alone.
    if (taken.digest === null)
      return this.#note('unseen', {
        place: this.#place(this.#site, task, null),
        message: `the site’s log does not hold an answer that the coordinator says it received, and what that was cannot be seen: ${where}`,
      });
    this.#find(
      'omission',
      this.#place(this.#site, task, null),
      `the site’s log does not hold an answer that it signed: ${where}`,
      [this.#coordinator, taken.n],
    );
  }

  /** A task of the coordinator's log that the site's does not have. */
  #notReceived(there: TaskIndex): void {
    if (there.answer !== null) {
      this.#lacksAnswer(there, there.answer);
      return;
    }
    if (there.asked === null) return;
    this.#note('never arrived', {
      place: this.#place(this.#coordinator, there, there.asked.n),
      message: `a question never arrived at ${named(there.study)}, or its log ends before it`,
    });
  }

  #compareTimes(
    task: TaskIndex,
    [sender, sent]: readonly [ReadLog, Mention],
    [receiver, received]: readonly [ReadLog, Mention],
    what: 'received' | 'answered' = 'received',
  ): void {
    // A text that is no time is the entry's own fault, and told there.
    if (!(received.time < sent.time - SKEW)) return;
    this.#tally.find(receiver.owner.origin, {
      kind: 'backdating',
      place: this.#place(receiver, task, received.n),
      message: `${what} at ${iso(received.time)}, before it was ${what === 'received' ? 'sent' : 'asked'}: ${iso(sent.time)} by entry ${sent.n} of ${sender.owner.origin}`,
    });
  }

  /** `witness`: the entry that proves it; what its owner's administrator has acknowledged since is no finding. */
  #find(kind: FindingKind, place: Place, message: string, [witness, n]: readonly [ReadLog, number]): void {
    const other = witness === this.#site ? this.#coordinator : this.#site;
    // What still stands in a log was not lost with what stood behind it.
    const size = place.log === other.owner.origin && place.entry !== undefined ? place.entry + 1 : undefined;
    if (isExcused(witness, other, { n, ...(size === undefined ? {} : { size }) }))
      this.#note(`acknowledged ${kind} ${place.log}`, { place, message: `${message} (acknowledged)` });
    else this.#tally.find(`${place.log}`, { kind, place, message });
  }

  /** `what`: of notes that say the same, each run has one. */
  #note(what: string, note: Note): void {
    const key = `${note.place.run} ${what}`;
    const known = this.#notes.get(key);
    if (known === undefined) this.#notes.set(key, { note, more: 0 });
    else known.more++;
  }

  #place({ owner }: ReadLog, { run, analysis, round, study }: TaskIndex, n: number | null): Place {
    return {
      log: owner.origin,
      ...(n === null ? {} : { entry: n }),
      run,
      ...(analysis === '' ? {} : { analysis }),
      round,
      study,
    };
  }
}

const slotOf = ({ run, round, analysis }: TaskIndex): string => `${run} ${round} ${analysis}`;
const iso = (time: number): string => new Date(time).toISOString();

/**
 * Whether what a log's entry, or a note beside the log, says of the first `seen.size` entries of a peer's log was acknowledged later, as
 * part of a divergence.
 */
function isExcused(
  witness: ReadLog,
  accused: ReadLog,
  seen: { readonly n: number | null; readonly size?: number },
): boolean {
  return witness.index.divergences.some(
    (divergence) =>
      divergence.acknowledged &&
      divergence.log === accused.owner.origin &&
      (seen.n === null ? (seen.size ?? 0) <= divergence.kept : seen.n < divergence.n) &&
      (seen.size === undefined || seen.size > commonWith(witness, accused, divergence)),
  );
}

/**
 * How many entries of a log that diverged are of the history before, at least. Whoever goes on from a backup shows it to the other side
 * before the two exchange anything: up to the last message of the other side that it holds by then, nothing may have changed.
 */
function commonWith({ owner }: ReadLog, accused: ReadLog, { shown }: KnownDivergence): number {
  const ofCoordinator = accused.owner.party === COORDINATOR;
  let common = 0;
  for (const { study, asked, answer } of accused.index.tasks.values()) {
    const received = ofCoordinator ? (study === owner.party ? answer : null) : asked;
    if (received !== null && received.n < shown) common = Math.max(common, received.n + 1);
  }
  return common;
}

/**
 * Every checkpoint that `witness` saw of `log` must be of the log as it is given. Where that is shorter, returns the entry of `witness`
 * from which on it received what is behind that end: one finding says so of all.
 */
function checkSightings(witness: ReadLog, log: ReadLog, report: Report): number {
  const { tree, checkpoint, owner, proven } = log;
  const short: Sighting[] = [];
  const other: Sighting[] = [];
  let end = Infinity;
  const forgone = witness.index.divergences.filter((divergence) => divergence.log === owner.origin);
  const seen = [
    ...witness.index.sightingsOf(owner.party, log.index.key),
    ...forgone.flatMap((divergence) => divergence.forgone),
  ];
  for (const sighting of seen) {
    if (isExcused(witness, log, sighting)) continue;
    // The message itself was an entry behind what it says of the log.
    if (sighting.size >= checkpoint.size) end = Math.min(end, sighting.n ?? Infinity);
    if (sighting.size > checkpoint.size) short.push(sighting);
    // Where the entries are not those of the checkpoint, that is the finding: no root would fit.
    else if (proven && hashKey(tree.root(sighting.size)) !== sighting.root) other.push(sighting);
  }
  const where = ({ n }: Sighting): string =>
    n === null ? `a note beside ${witness.owner.origin}` : `entry ${n} of ${witness.owner.origin}`;
  if (short.length > 0) {
    const longest = short.reduce((a, b) => (b.size > a.size ? b : a));
    report.find({
      kind: 'truncation',
      place: { log: owner.origin, entry: checkpoint.size },
      message: `the log ends at ${checkpoint.size} entries, and ${named(witness.owner.party)} has seen ${longest.size} (${where(longest)}): it was cut, or it was handed over earlier than the other: ask for a newer bundle`,
    });
  }
  if (other.length > 0) {
    const first = other.reduce((a, b) => (b.size < a.size ? b : a));
    report.find({
      kind: 'fork',
      place: { log: owner.origin, entry: first.size },
      message: `${named(owner.party)} has shown ${named(witness.owner.party)} another history: the first ${first.size} entries are not those that it signed for it (${where(first)}${other.length > 1 ? `, and ${other.length - 1} more` : ''})`,
    });
  }
  return short.length > 0 ? end : Infinity;
}

/** Two sites to which the coordinator has shown different logs of one size. */
export function checkSplitView(sites: readonly ReadLog[], report: Report): void {
  const first = new Map<number, readonly [ReadLog, Sighting]>();
  const told = new Set<string>();
  for (const site of sites) {
    for (const sighting of site.index.sightingsOf(COORDINATOR, null)) {
      const known = first.get(sighting.size);
      if (known === undefined) first.set(sighting.size, [site, sighting]);
      else if (known[1].root !== sighting.root) {
        const [other, seen] = known;
        const pair = `${other.owner.origin} ${site.owner.origin}`;
        if (told.has(pair)) continue;
        told.add(pair);
        report.find({
          kind: 'fork',
          place: { log: site.owner.origin, ...(sighting.n === null ? {} : { entry: sighting.n }) },
          message: `the coordinator has shown two histories of ${sighting.size} entries: another one to ${named(other.owner.party)} (${seen.n === null ? 'a note beside' : `entry ${seen.n} of`} ${other.owner.origin})`,
        });
      }
    }
  }
}
