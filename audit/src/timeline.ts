/** Who sent what when: of one log or several, what a picture of a federation needs. */
import type { LogEntry } from '@concordat/shared/log/entry.ts';

import { heading } from './describe.ts';
import { COORDINATOR } from './keys.ts';

/** What a mark is about, by which it has its colour and shape. */
export type MarkKind =
  | 'plan'
  | 'levels'
  | 'estimates'
  | 'fit'
  | 'refusal'
  | 'approval'
  | 'restart'
  | 'divergence'
  | 'erasure';

export interface Mark {
  readonly kind: MarkKind;
  /** A message's way; null for what happened at one party. */
  readonly way: 'question' | 'answer' | null;
  /** Milliseconds since 1970, in the log of the party. */
  readonly time: number;
  /** A message, as the coordinator's log has it; null where that was not given, or has it not. */
  readonly otherTime: number | null;
  readonly party: string;
  /** In words. */
  readonly what: string;
  readonly run: string | null;
  readonly analysis: string | null;
  readonly round: number | null;
}

export interface Timeline {
  /** The coordinator, then the sites by name. */
  readonly parties: readonly string[];
  /** By time. */
  readonly marks: readonly Mark[];
}

const KINDS: Readonly<Record<string, MarkKind>> = {
  planOffer: 'plan',
  planAccepted: 'plan',
  runClosed: 'plan',
  runLeft: 'plan',
  factorLevelsQuestion: 'levels',
  factorLevels: 'levels',
  stageOneQuestion: 'estimates',
  stageOneEstimate: 'estimates',
  stageOneFailure: 'estimates',
  entryQuestion: 'fit',
  oneStageEntry: 'fit',
  objectiveQuestion: 'fit',
  objectiveValue: 'fit',
  refusal: 'refusal',
  dataProblem: 'refusal',
};

/** Takes the logs' entries, then makes the picture's parts of them. Where a site's own log is given, it is believed about the site. */
export class TimelineParts {
  readonly #logs = new Set<string>();
  readonly #taken: Taken[] = [];
  /** By party, way and task: when the coordinator's log has it. */
  readonly #central = new Map<string, number>();
  readonly #started = new Set<string>();

  /** `log`: whose it is. */
  take(log: string, entry: LogEntry): void {
    this.#logs.add(log);
    const time = Date.parse(entry.time);
    if (Number.isNaN(time)) return;
    if ((entry.kind === 'sent' || entry.kind === 'received') && entry.peer !== undefined)
      return this.#message(log, entry, time);
    const kind = this.#happened(log, entry);
    // What the coordinator refused was a site's.
    const party = log === COORDINATOR && kind === 'refusal' ? (entry.peer ?? log) : log;
    if (kind !== null) this.#taken.push({ log, key: '', mark: markOf(kind, null, time, party, entry) });
  }

  timeline(): Timeline {
    const marks = this.#taken
      .filter(({ log, mark }) => mark.way === null || log !== COORDINATOR || !this.#logs.has(mark.party))
      .map(({ mark, key }) => ({ ...mark, otherTime: this.#central.get(key) ?? null }))
      .toSorted((a, b) => a.time - b.time);
    const sites = new Set([...this.#logs, ...marks.map(({ party }) => party)]);
    sites.delete(COORDINATOR);
    return { parties: [COORDINATOR, ...[...sites].toSorted(byName)], marks };
  }

  #message(log: string, entry: LogEntry, time: number): void {
    const central = log === COORDINATOR;
    const way = (entry.kind === 'sent') === central ? 'question' : 'answer';
    const party = central ? entry.peer! : log;
    const key = `${party} ${way} ${entry.task ?? entry.n}`;
    if (central) this.#central.set(key, time);
    this.#taken.push({ log, key, mark: markOf(KINDS[entry.type ?? ''] ?? 'plan', way, time, party, entry) });
  }

  #happened(log: string, { kind, type }: LogEntry): MarkKind | null {
    if (kind === 'start') {
      const first = !this.#started.has(log);
      this.#started.add(log);
      return first ? null : 'restart';
    }
    if (kind === 'recovered') return 'restart';
    if (kind === 'erased') return 'erasure';
    if (kind === 'approved') return 'approval';
    // What rules refused, an answer says right after.
    if (kind === 'refused' && type !== 'refusals') return 'refusal';
    return type === 'divergence' ? 'divergence' : null;
  }
}

const { compare: byName } = new Intl.Collator('en', { numeric: true });

interface Taken {
  readonly log: string;
  /** Of a message: by which both logs' entries of it are found. */
  readonly key: string;
  readonly mark: Omit<Mark, 'otherTime'>;
}

function markOf(
  kind: MarkKind,
  way: Mark['way'],
  time: number,
  party: string,
  entry: LogEntry,
): Taken['mark'] {
  const { run = null, analysis = null, round = null } = entry;
  return { kind, way, time, party, what: heading(entry), run, analysis, round };
}
