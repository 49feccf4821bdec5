/** A verdict in words: what was found first, then what it rests on. */
import type { Finding, Note, Place } from '@concordat/audit/finding.ts';
import { fingerprint, named } from '@concordat/audit/keys.ts';
import type { Verdict } from '@concordat/audit/verify.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

/** Notes told in full; the JSON document has all. */
const MOST_NOTES = 50;
const MOST_RUNS = 20;

export function verdictLines(verdict: Verdict): readonly string[] {
  const { findings, notes, logs } = verdict;
  const entries = logs.reduce((sum, log) => sum + log.entries, 0);
  const looked = `${logs.length} ${logs.length === 1 ? 'log' : 'logs'} with ${entries} entries`;
  return [
    findings.length === 0
      ? `Nothing was found in ${looked}.`
      : `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'} in ${looked}.`,
    ...findings.flatMap(({ kind, place, message }) => ['', `${kind}: ${placeText(place)}`, `  ${message}`]),
    ...(notes.length === 0 ? [] : ['', 'Worth knowing, and no fault:']),
    ...noteLines(notes),
    '',
    'What this verdict rests on:',
    ...restsOn(verdict).map((line) => `  ${line}`),
  ];
}

/** What is the same at many places is said once. */
function noteLines(notes: readonly Note[]): readonly string[] {
  const same = [...Map.groupBy(notes, ({ message }) => message).values()];
  return [
    ...same.slice(0, MOST_NOTES).map(([first, ...others]) => {
      const more =
        others.length === 0
          ? ''
          : ` (and at ${others.length} more ${others.length === 1 ? 'place' : 'places'})`;
      return `  ${placeText(first!.place)}: ${first!.message}${more}`;
    }),
    ...(same.length > MOST_NOTES ? [`  … and ${same.length - MOST_NOTES} more (--json has all)`] : []),
  ];
}

function restsOn({ logs, runs, keys, missing, notRecomputed }: Verdict): readonly string[] {
  const told = keys.filter(({ given }) => given);
  const learnt = keys.filter(({ given }) => !given);
  return [
    ...logs.map(
      ({ log, entries, root, hidden, unjudged }) =>
        `${log}: ${entries} entries, ${root === null ? 'without a checkpoint that can be read' : `root ${root}`}${hidden > 0 ? `; ${hidden} messages withheld or erased, which were not looked at` : ''}${unjudged > 0 ? `; of ${unjudged} answers nobody can say whether they were allowed, since the texts that say so are hidden` : ''}`,
    ),
    ...(missing.length === 0
      ? []
      : [
          `not given, and what they alone would show not checked: the logs of ${missing.map(named).join(', ')}`,
        ]),
    ...told.map(({ party, key }) => `key of ${named(party)}, as you gave it: ${fingerprint(key)}`),
    ...(learnt.length === 0
      ? []
      : [
          'keys as these logs themselves say: compare the fingerprints with their owners by another way, or give them by --key',
        ]),
    ...learnt.map(({ party, key }) => `  ${named(party)}: ${toHex(key)}, fingerprint ${fingerprint(key)}`),
    ...runs
      .slice(0, MOST_RUNS)
      .map(
        ({ run, reproduced, notReplayed }) =>
          `run ${run}: ${notReplayed === null ? `every question and answer was replayed${reproduced === null ? '; no result of it was given' : reproduced ? '; the result is what the messages give, bit for bit' : '; the result is NOT what the messages give'}` : `not replayed: ${notReplayed}`}`,
      ),
    ...(runs.length > MOST_RUNS ? [`… and ${runs.length - MOST_RUNS} more runs (--json has all)`] : []),
    ...(notRecomputed.length === 0
      ? []
      : [`rules that only the records can show to have been kept: ${notRecomputed.join('; ')}`]),
  ];
}

export function placeText({ log, file, entry, byte, run, analysis, round, study, field }: Place): string {
  const parts = [
    log,
    file,
    entry === undefined ? undefined : `entry ${entry}`,
    byte === undefined ? undefined : `byte ${byte}`,
    run === undefined ? undefined : `run ${run}`,
    analysis === undefined ? undefined : `analysis ${analysis}`,
    round === undefined ? undefined : `round ${round}`,
    study === undefined ? undefined : `study ${study}`,
    field,
  ];
  return parts.filter((part) => part !== undefined).join(', ') || 'the logs as a whole';
}

/** The document of `--json`; docs/audit.md has its schema. */
export function verdictDocument({ findings, keys, ...rest }: Verdict): object {
  return {
    audit: 1,
    found: findings.length > 0,
    findings: findings satisfies readonly Finding[],
    ...rest,
    keys: keys.map(({ party, key, given }) => ({
      party,
      key: toHex(key),
      fingerprint: fingerprint(key),
      given,
    })),
  };
}
