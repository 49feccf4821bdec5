/** A verdict in words: what was found first, then what it rests on. */
import type { Finding, Place } from '@concordat/audit/finding.ts';
import { fingerprint, named } from '@concordat/audit/keys.ts';
import type { Verdict } from '@concordat/audit/verify.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

/** Notes told in full; the JSON document has all. */
const MOST_NOTES = 50;

export function verdictLines(verdict: Verdict): readonly string[] {
  const { findings, notes } = verdict;
  return [
    findings.length === 0
      ? 'Nothing was found.'
      : `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}.`,
    ...findings.flatMap(({ kind, place, message }) => ['', `${kind}: ${placeText(place)}`, `  ${message}`]),
    ...(notes.length === 0 ? [] : ['', 'Worth knowing, and no fault:']),
    ...notes.slice(0, MOST_NOTES).map(({ place, message }) => `  ${placeText(place)}: ${message}`),
    ...(notes.length > MOST_NOTES ? [`  … and ${notes.length - MOST_NOTES} more (--json has all)`] : []),
    '',
    'What this verdict rests on:',
    ...restsOn(verdict).map((line) => `  ${line}`),
  ];
}

function restsOn({ logs, runs, keys, missing, notRecomputed }: Verdict): readonly string[] {
  return [
    ...logs.map(
      ({ log, entries, root, hidden, unjudged }) =>
        `${log}: ${entries} entries, ${root === null ? 'without a checkpoint that can be read' : `root ${root}`}${hidden > 0 ? `; ${hidden} messages withheld or erased, which were not looked at` : ''}${unjudged > 0 ? `; of ${unjudged} answers nobody can say whether they were allowed, since the texts that say so are hidden` : ''}`,
    ),
    ...missing.map(
      (party) => `not given: the log of ${named(party)}; what it alone would show was not checked`,
    ),
    ...keys
      .filter(({ given }) => given)
      .map(({ party, key }) => `key of ${named(party)}, as you gave it: ${fingerprint(key)}`),
    ...keys
      .filter(({ given }) => !given)
      .map(
        ({ party, key }) =>
          `key of ${named(party)}, as these logs say: ${toHex(key)}, fingerprint ${fingerprint(key)}; compare it with its owner by telephone`,
      ),
    ...runs.map(
      ({ run, reproduced, notReplayed }) =>
        `run ${run}: ${notReplayed === null ? `every question and answer was replayed${reproduced === null ? '; no result of it was given' : reproduced ? '; the result is what the messages give, bit for bit' : ''}` : `not replayed: ${notReplayed}`}`,
    ),
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
