import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Finding, Note, Report } from '@concordat/audit/finding.ts';
import { recomputed } from '@concordat/audit/replays.ts';
import { readResult } from '@concordat/audit/result-check.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { openLogs, readGiven, type LogOptions } from '../audit-input.ts';
import { placeText } from '../audit-words.ts';

interface RecomputeOptions extends LogOptions {
  readonly run?: string;
  readonly result?: string;
  readonly out?: string;
}

export function auditRecompute(options: RecomputeOptions): 0 | 4 {
  const findings: Finding[] = [];
  const report: Report = { find: (finding) => void findings.push(finding), note: (_: Note) => undefined };
  const given = readGiven(options.result);
  const result = given === null ? null : readResult(given, report);
  const logs = openLogs(options);
  if (options.out !== undefined) mkdirSync(options.out, { recursive: true });
  let runs = 0;
  let compared = false;
  for (const { run, computed, reproduced, notReplayed } of recomputed(
    logs,
    result,
    given?.name ?? 'result.json',
    report,
  )) {
    if (options.run !== undefined && run !== options.run.toLowerCase()) continue;
    runs++;
    compared ||= reproduced !== null;
    if (notReplayed !== null) console.log(`run ${run}: not computed: ${notReplayed}`);
    else if (computed !== null)
      console.log(
        `run ${run}: ${sayOf(computed.analyses)}${reproduced === true ? '; bit for bit what was published' : ''}`,
      );
    if (computed !== null && options.out !== undefined)
      writeFileSync(
        join(options.out, `${run}.json`),
        `${JSON.stringify({ run, plan: computed.plan, analyses: computed.analyses }, null, 2)}\n`,
      );
  }
  if (runs === 0 && options.run !== undefined)
    throw new ConcordatError('usage/invalid', 'the logs hold no such run', {
      place: options.run,
      remedy: 'give all 32 digits of the run; without --run every run is computed',
    });
  if (result !== null && !compared)
    console.log(`${given?.name}: NOT COMPARED: it is of no run that could be computed from these logs`);
  for (const { kind, place, message } of findings) console.log(`${kind}: ${placeText(place)}\n  ${message}`);
  return findings.length > 0 || (given !== null && !compared) ? 4 : 0;
}

const sayOf = (analyses: Readonly<Record<string, { readonly status: string }>>): string =>
  Object.entries(analyses)
    .map(([id, { status }]) => `${id} ${status}`)
    .join(', ');
