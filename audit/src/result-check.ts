/** What was published, held against the logs: the result is what the messages give, and the attestation is of this run and these logs. */
import { validateResult } from '@concordat/shared/plan/validate-result.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { verifyRunStatement, type RunPredicate } from '@concordat/shared/attestation/run-statement.ts';
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { FindingKind, Place, Report } from './finding.ts';
import { COORDINATOR, type PartyKeys } from './keys.ts';
import { isOther, type ReadLog } from './pair.ts';
import type { RecomputeFinding } from './recompute.ts';
import type { RunTranscript } from './transcripts.ts';

const KINDS: Readonly<Record<RecomputeFinding['kind'], FindingKind>> = {
  'question-differs': 'question',
  'question-missing': 'omission',
  'question-unasked': 'insertion',
  'answer-invalid': 'schema',
  'result-differs': 'result',
  'not-replayable': 'malformed',
};

/** Told one by one: numbers, since a result of another run differs in all; questions, since after one that is wrong all are. */
const mostTold = (kind: RecomputeFinding['kind']): number => (kind === 'result-differs' ? 20 : 1);

/** A published file as it was given. */
export interface GivenFile {
  readonly name: string;
  readonly text: string;
}

/** A document without the blanks between its parts, each number as it is written shortest. */
function withoutLayout(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s+|(-?\d[\d.eE+-]*)/g, (_, string?: string, number?: string) =>
    number === undefined ? (string ?? '') : JSON.stringify(Number(number)),
  );
}

/** Null where it is none. */
export function readResult({ name, text }: GivenFile, report: Report): Result | null {
  try {
    const result = JSON.parse(text) as Result;
    validateResult(result);
    // A name that is written twice would be read by some as the first, by others as the last.
    if (withoutLayout(text) === JSON.stringify(result)) return result;
    throw new ConcordatError('wire/malformed', 'it is not written as it is read');
  } catch (error) {
    const why = error instanceof ConcordatError ? error.message : 'it is not JSON';
    report.find({ kind: 'malformed', place: { file: name }, message: `this is no result: ${why}` });
    return null;
  }
}

/** What a replay found, where it is in the log or the result. */
export function tellReplay(
  findings: readonly RecomputeFinding[],
  run: RunTranscript,
  log: string | null,
  file: string,
  report: Report,
): void {
  const counts = new Map<RecomputeFinding['kind'], number>();
  for (const { kind, at, path, message } of findings) {
    const told = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, told);
    if (told > mostTold(kind)) continue;
    const n = at === null ? null : run.entryOf(at);
    const place: Place =
      kind === 'result-differs'
        ? { file, run: run.run, field: path }
        : {
            ...(log === null ? {} : { log }),
            run: run.run,
            ...(n === null ? {} : { entry: n }),
            ...(at === null
              ? {}
              : {
                  round: at.round,
                  study: at.study,
                  ...(at.analysis === '' ? {} : { analysis: at.analysis }),
                }),
            ...(path === '' ? {} : { field: path }),
          };
    report.find({ kind: KINDS[kind], place, message });
  }
  for (const [kind, told] of counts) {
    const more = told - mostTold(kind);
    if (more > 0)
      report.note({
        place:
          kind === 'result-differs'
            ? { file, run: run.run }
            : { ...(log === null ? {} : { log }), run: run.run },
        message: `${more} more findings of this kind (${KINDS[kind]}) that replaying the run gives are not told one by one`,
      });
  }
}

export interface AttestedBy {
  readonly keys: PartyKeys;
  readonly coordinator: ReadLog | null;
  readonly sites: readonly ReadLog[];
  /** Hex. */
  readonly runs: ReadonlySet<string>;
  /** Digest (hex) of the run's plan, and its roster, by run, as far as the logs show them. */
  readonly plans: ReadonlyMap<string, string>;
  readonly rosters: ReadonlyMap<string, Roster>;
  /** Digest (hex) of the result that the coordinator logged, by run. */
  readonly results: ReadonlyMap<string, string>;
  /** Digests (hex) of the attestations that it logged, by run: one for each time that the result was published. */
  readonly attestations: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Null where it is not the coordinator's, or no key is known to tell. */
export function checkAttestation(
  { name, text }: GivenFile,
  result: GivenFile | null,
  logs: AttestedBy,
  report: Report,
): RunPredicate | null {
  const find = (message: string, field?: string): void =>
    report.find({
      kind: 'attestation',
      place: { file: name, ...(field === undefined ? {} : { field }) },
      message,
    });
  const key = logs.keys.of(COORDINATOR);
  if (key === null) {
    report.note({
      place: { file: name },
      message: 'the attestation was not verified: no key of the coordinator is known',
    });
    return null;
  }
  let predicate: RunPredicate;
  try {
    predicate = verifyRunStatement(text, key, name);
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    find(error.message);
    return null;
  }
  const { run, plan, roster, coordinator, witnessed } = predicate;
  if (result !== null && predicate.result !== toHex(sha256(result.text)))
    find('it is of another result than the one that was given', 'predicate.result');
  const logged = logs.results.get(run);
  if (logged !== undefined && logged !== predicate.result)
    find(
      'it is of another result than the one that the coordinator’s log has for the run',
      'predicate.result',
    );
  if (logs.attestations.get(run)?.has(toHex(sha256(text))) === false)
    find('it is not the one that the coordinator’s log has for the run');
  const planned = logs.plans.get(run);
  if (!logs.runs.has(run)) find('the logs hold no such run', 'predicate.run');
  else if (planned !== undefined && planned !== plan.sha256)
    find('it names another plan than the one that was offered', 'predicate.plan.sha256');
  if (result !== null && planId(result) !== plan.id)
    find('it names another plan than the result does', 'predicate.plan.id');
  const offered = logs.rosters.get(run);
  if (offered !== undefined) {
    if (toHex(sha256(Roster.encode(offered).finish())) !== roster.sha256)
      find('it names another roster than the one that was offered', 'predicate.roster.sha256');
    const sites = offered.sites.map((site) => ({ study: site.study, key: toHex(site.key) }));
    if (JSON.stringify(sites) !== JSON.stringify(roster.sites))
      find('its sites are not those of the roster', 'predicate.roster.sites');
  }
  if (logs.coordinator !== null) {
    checkHead(coordinator.checkpoint, logs.coordinator, 'predicate.coordinator.checkpoint', find);
    const { last, answered } = reachOf(run, logs.coordinator);
    if (coordinator.checkpoint.size <= last)
      find(
        `it was given when the log had ${coordinator.checkpoint.size} entries, before the run’s last message (entry ${last})`,
        'predicate.coordinator.checkpoint',
      );
    for (const study of answered)
      if (!witnessed.some((seen) => seen.study === study))
        find(`it names no state of the log of ${study}, which answered in the run`, 'predicate.witnessed');
  }
  for (const seen of witnessed) {
    const site = logs.sites.find(({ owner }) => owner.party === seen.study);
    const rostered = roster.sites.find(({ study }) => study === seen.study)?.key;
    const isAnother =
      site !== undefined && rostered !== undefined && isOther(site, Buffer.from(rostered, 'hex'));
    if (site !== undefined && !isAnother) checkHead(seen, site, `predicate.witnessed (${seen.study})`, find);
  }
  return predicate;
}

/** How far a run came in the coordinator's log, and who answered in it. */
function reachOf(
  run: string,
  { index }: ReadLog,
): { readonly last: number; readonly answered: ReadonlySet<string> } {
  let last = -1;
  const answered = new Set<string>();
  for (const { study, run: of, asked, answer } of index.tasks.values()) {
    if (of !== run) continue;
    last = Math.max(last, asked?.n ?? -1, answer?.n ?? -1);
    if (answer !== null) answered.add(study);
  }
  return { last, answered };
}

/** Of a result that may be none, which is told where it is read. */
function planId({ text }: GivenFile): string | null {
  try {
    return (JSON.parse(text) as Partial<Result>).plan?.id ?? null;
  } catch {
    return null;
  }
}

function checkHead(
  { origin, size, root }: RunPredicate['coordinator']['checkpoint'],
  { owner, tree, checkpoint }: ReadLog,
  field: string,
  find: (message: string, field: string) => void,
): void {
  if (origin !== owner.origin) find(`it names the log ${origin}, and this is ${owner.origin}`, field);
  else if (size > checkpoint.size)
    find(`it was given when ${origin} had ${size} entries, and the log ends at ${checkpoint.size}`, field);
  else if (size <= tree.size && toHex(tree.root(size)) !== root)
    find(`the first ${size} entries of ${origin} are others than those that it attests`, field);
}
