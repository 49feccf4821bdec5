/** The runs of logs, replayed from their messages. */
import type { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';

import type { AuditedEntry } from './audited-entry.ts';
import type { GivenLog } from './audited-log.ts';
import type { Report } from './finding.ts';
import { COORDINATOR, type Party } from './keys.ts';
import { readMessage, type LoggedMessage, type Owner } from './logged-message.ts';
import { recompute, type RecomputeFinding } from './recompute.ts';
import { tellReplay } from './result-check.ts';
import { Transcripts, type RunTranscript } from './transcripts.ts';

export interface ReplayedRun {
  /** Hex. */
  readonly run: string;
  /** Of a published result of this run: whether it is, bit for bit, what the messages give. Null where none was given, or it could not be computed. */
  readonly reproduced: boolean | null;
  /** Why it was not computed again; null where it was. */
  readonly notReplayed: string | null;
  /** What the messages give; null where they could not be replayed. */
  readonly computed: Result | null;
}

/** The sites whose logs would have to be given too; none where the coordinator's is. */
export function lacking({ sites }: Roster, owners: readonly Owner[]): readonly Party[] {
  const given = new Set(owners.map(({ party }) => party));
  return given.has(COORDINATOR) ? [] : sites.map(({ study }) => study).filter((study) => !given.has(study));
}

export const withoutLogs = (sites: readonly Party[]): string =>
  `neither the coordinator’s log nor that of ${sites.join(', ')} was given`;

/** Takes the entries of the coordinator's log, or where that is not there those of all its sites. */
export class Replays {
  readonly #owners: readonly Owner[];
  readonly #result: Result | null;
  readonly #file: string;
  readonly #report: Report;
  readonly #transcripts = new Transcripts();

  /** `owners`: of all logs that are given. `file`: the published result's, for messages. */
  constructor(owners: readonly Owner[], result: Result | null, file: string, report: Report) {
    this.#owners = owners;
    this.#result = result;
    this.#file = file;
    this.#report = report;
  }

  /** Every entry in its turn. Returns the run that ends with it. */
  take(owner: Owner, audited: AuditedEntry, message: LoggedMessage | null): ReplayedRun | null {
    const run = this.#transcripts.take(owner, audited, message);
    return run === null ? null : this.#replay(run);
  }

  /** The runs that did not end. */
  *rest(): Generator<ReplayedRun> {
    for (const run of this.#transcripts.rest()) yield this.#replay(run);
  }

  #replay(run: RunTranscript): ReplayedRun {
    const published = this.#result?.run.id === run.run ? this.#result : null;
    const why = this.#whyNot(run, published);
    const transcript = why === null ? run.whole() : null;
    if (transcript === null) return notReplayed(run, why);
    const { findings, result } = recompute(transcript, published);
    const coordinator = this.#owners.find(({ party }) => party === COORDINATOR);
    const counting = coordinator === undefined ? this.#withoutMissing(findings, run) : findings;
    if (coordinator === undefined && counting.length > 0) {
      const unsure = whoseAnswersMayNotCount(findings, run, transcript.roster);
      if (unsure.length > 0)
        return notReplayed(
          run,
          `it cannot be replayed without the coordinator’s log: ${unsure.join(', ')} may have been given up, or not all that counted is in the logs of the sites`,
        );
    }
    tellReplay(counting, run, coordinator?.origin ?? null, this.#file, this.#report);
    const reproduced = result !== null && !counting.some(({ kind }) => kind === 'result-differs');
    return {
      run: run.run,
      computed: result,
      reproduced: published === null ? null : reproduced,
      notReplayed: null,
    };
  }

  /** Sites can say what they received, and not what was sent to them: there a question that is missing is one that never arrived. */
  #withoutMissing(findings: readonly RecomputeFinding[], run: RunTranscript): readonly RecomputeFinding[] {
    const missing = studiesMissing(findings);
    if (missing.length > 0)
      this.#report.note({
        place: { run: run.run },
        message: `questions of the run are not in the log of ${missing.join(', ')}: without the coordinator’s log they count as never having arrived there`,
      });
    return findings.filter(({ kind }) => kind !== 'question-missing');
  }

  /** Why a run cannot be replayed; null where it can. */
  #whyNot(run: RunTranscript, published: Result | null): string | null {
    if (run.hidden) return 'some of its messages were withheld or erased';
    if (run.roster === null) return 'its offer is not in the logs';
    const not = lacking(run.roster, this.#owners);
    if (not.length > 0) return withoutLogs(not);
    return run.finished || published !== null ? null : 'it was not finished';
  }
}

const notReplayed = ({ run }: RunTranscript, why: string | null): ReplayedRun => ({
  run,
  computed: null,
  reproduced: null,
  notReplayed: why,
});

const studiesMissing = (findings: readonly RecomputeFinding[]): readonly string[] => [
  ...new Set(
    findings.flatMap(({ kind, at }) => (kind === 'question-missing' && at !== null ? [at.study] : [])),
  ),
];

/** A site that was given up is not told that the run is over; one whose log lacks questions may lack answers. */
function whoseAnswersMayNotCount(
  findings: readonly RecomputeFinding[],
  { closed }: RunTranscript,
  { sites }: Roster,
): readonly Party[] {
  const missing = studiesMissing(findings);
  return sites.map(({ study }) => study).filter((study) => !closed.has(study) || missing.includes(study));
}

const silent = { find: () => undefined, note: () => undefined };

/** The runs of logs, again from the coordinator's messages, or where its log is not there from those of all its sites. */
export function* recomputed(
  logs: readonly GivenLog[],
  result: Result | null,
  file: string,
  report: Report,
): Generator<ReplayedRun> {
  const owners = logs.map(({ owner }) => owner);
  const replays = new Replays(owners, result, file, report);
  const coordinator = logs.find(({ owner }) => owner.party === COORDINATOR);
  for (const { owner, read } of coordinator === undefined ? logs : [coordinator])
    for (const audited of read(new Map(), silent)) {
      const run = replays.take(owner, audited, readMessage(audited, owner, silent));
      if (run !== null) yield run;
    }
  yield* replays.rest();
}
