/** Progress of a run: a live block on a terminal, plain lines elsewhere, JSON lines for machines. */
import { words } from '@concordat/audit/describe.ts';
import type { CoordinatorProgress } from '@concordat/coordinator/app.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';

import { summary } from './summary.ts';

export type ProgressEvent =
  | CoordinatorProgress
  | { readonly event: 'prepared'; readonly studies: number; readonly processes: number }
  | { readonly event: 'restarted'; readonly what: string }
  | {
      readonly event: 'result';
      readonly out: string;
      readonly log: string;
      readonly result: Result;
      /** From the sites' own logs, where this command can see them. */
      readonly problems?: readonly string[];
    };

export type Print = (event: ProgressEvent) => void;

/** What is said once, above the live block. */
const PLAIN: ReadonlySet<ProgressEvent['event']> = new Set([
  'result',
  'restarted',
  'prepared',
  'waiting for sites',
  'enrolled',
  'renewed',
  'divergence',
  'acknowledgement',
]);

/** Sites shown one a line on a terminal; more are counted only. */
const LIVE_SITES = 24;

export function progressPrinter({ json }: { readonly json: boolean }): Print {
  if (json)
    return (event) => console.log(JSON.stringify(event.event === 'result' ? machineResult(event) : event));
  return process.stdout.isTTY
    ? livePrinter()
    : (event) => plainLines(event).forEach((line) => console.log(line));
}

function machineResult({ out, result }: { readonly out: string; readonly result: Result }): object {
  return {
    event: 'result',
    out,
    analyses: Object.fromEntries(
      Object.entries(result.analyses).map(([id, { status, reason }]) => [id, { status, reason }]),
    ),
  };
}

function plainLines(event: ProgressEvent): readonly string[] {
  switch (event.event) {
    case 'prepared':
      return [
        `prepared ${event.studies} trials, each with its own keys, records, policy and log (${event.processes} agent processes)`,
      ];
    case 'listening':
      return [`coordinator listens on port ${event.port} for ${event.sites} sites`];
    case 'waiting for sites':
      return [
        event.missing.length > 0
          ? `waiting for sites to enrol: ${event.missing.join(', ')}`
          : `waiting for ${event.needed} more ${event.needed === 1 ? 'site' : 'sites'} to enrol`,
      ];
    case 'enrolled':
    case 'renewed':
      return [
        `${event.study} ${event.event === 'enrolled' ? 'enrolled' : 'has a new certificate'}: ${event.certificate}`,
      ];
    case 'divergence':
      return [
        `${event.study} is stopped (${event.code}): its log and this one's do not go on from what was seen before; see \`concordat coordinator acknowledge ${event.study}\``,
      ];
    case 'acknowledgement':
      return [`${event.study}: ${event.code} is acknowledged on this side`];
    case 'site':
      return [`${event.study} connected`];
    case 'round':
      return [`round ${event.round} (${event.name}): ${event.answered} of ${event.tasks} answers`];
    case 'answer':
      // A fit asks every site again and again: its rounds are shown, not each of their answers.
      if (event.type === 'objectiveValue') return [];
      return [
        `round ${event.round}: ${event.study}${event.analysis === '' ? '' : `, ${event.analysis}`}: ${words(event.type)} (${event.answered} of ${event.tasks})`,
      ];
    case 'no answer':
      return [
        `round ${event.round}: ${event.study}${event.analysis === '' ? '' : `, ${event.analysis}`}: no answer within the time limit`,
      ];
    case 'custodian':
      return [
        `round ${event.round}: ${event.study}${event.analysis === '' ? '' : `, ${event.analysis}`}: waits for its custodian`,
      ];
    case 'restarted':
      return [`${event.what} ended unexpectedly and was started again; the run goes on where it stopped`];
    case 'result':
      return summary(event);
  }
}

function livePrinter(): Print {
  const sites = new Map<string, string>();
  let head = '';
  let drawn = 0;
  const draw = (): void => {
    const lines = [...sites].slice(0, LIVE_SITES).map(([study, state]) => `  ${study.padEnd(16)} ${state}`);
    if (sites.size > LIVE_SITES) lines.push(`  … and ${sites.size - LIVE_SITES} more sites`);
    process.stdout.write(
      `${drawn > 0 ? `\u001B[${drawn}A` : ''}${[head, ...lines].map((line) => `\u001B[2K${line}\n`).join('')}`,
    );
    drawn = lines.length + 1;
  };
  return (event) => {
    if (PLAIN.has(event.event)) {
      for (const line of plainLines(event)) console.log(line);
      drawn = 0;
      return;
    }
    if (event.event === 'site') sites.set(event.study, 'connected');
    if (event.event === 'round')
      head = `round ${event.round} (${event.name}): ${event.answered} of ${event.tasks} answers`;
    if (event.event === 'answer') {
      head = head.replace(/: .*/, `: ${event.answered} of ${event.tasks} answers`);
      sites.set(event.study, `${event.analysis === '' ? '' : `${event.analysis}: `}${words(event.type)}`);
    }
    if (event.event === 'custodian') sites.set(event.study, 'waits for its custodian');
    if (event.event === 'no answer') sites.set(event.study, 'no answer within the time limit');
    draw();
  };
}

/** Entries before a bar is worth its line, and between two looks of it. */
const LONG_LOG = 20_000;
const REDRAW = 5_000;

/** A bar on standard error while long logs are read; nothing where that is no terminal. */
export function entryBar(total: number): { readonly step: () => void; readonly end: () => void } {
  if (!process.stderr.isTTY || total < LONG_LOG) return { step: () => undefined, end: () => undefined };
  let done = 0;
  return {
    step: () => {
      if (++done % REDRAW !== 0) return;
      const part = Math.min(1, done / total);
      const bar = '█'.repeat(Math.round(30 * part)).padEnd(30, '░');
      process.stderr.write(`\r${bar} ${done} of ${total} entries`);
    },
    end: () => void process.stderr.write('\r\u001B[2K'),
  };
}
