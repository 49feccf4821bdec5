/**
 * A whole federation on this machine through the published command: 30 trials × 33,334 rows from CSV; an idle
 * agent's memory; bytes and round trips of a site.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { prepare } from '@concordat/cli/local/prepare.ts';
import { hasBody } from '@concordat/shared/log/entry.ts';
import { LogFolder } from '@concordat/shared/log/log-folder.ts';

import { makeData, TERMS } from './data.ts';
import { seconds } from './measure.ts';

const COMMAND = join(import.meta.dirname, '../../cli/bin/concordat.mjs');
const AGENTS = join(import.meta.dirname, '../../cli/src/local/agents.ts');
const TRIALS = 30;
const ROWS = 33_334;

const PLAN = `plan: 1
id: bench
treatment: {variable: treatment, control: 0, active: 1}
outcome: {kind: binary, variable: event, event: 1}
analyses:
  - id: logistic
    approach: two-stage
    model: {family: binomial, adjust: [age, sex, sbp, bmi, smoker, diabetes]}
    pool: {tau2: REML, ci: HKSJ}
`;

export async function benchFederation(folder: string): Promise<void> {
  const data = join(folder, 'trials');
  writeTrials(data);
  const plan = join(folder, 'plan.yaml');
  writeFileSync(plan, PLAN);
  await federation(join(folder, 'warm'), plan, data);
  const { wall, peak } = await federation(join(folder, 'out'), plan, data);
  const traffic = siteTraffic(join(folder, 'out'));
  console.log(
    `\nA federation of ${TRIALS} trials × ${ROWS.toLocaleString('en')} rows from CSV, logistic model with 8 parameters\n`,
  );
  console.log('| what | measured | goal |\n|---|---|---|');
  console.log(`| command, start to report | ${seconds(wall)} | ≤ 10 s |`);
  console.log(
    `| largest agent process, peak resident memory (several agents share it; ${(TRIALS * ROWS).toLocaleString('en')} rows in all) | ${peak} MB | |`,
  );
  console.log(`| bytes out of a site | ${traffic.up} | |`);
  console.log(`| bytes into a site | ${traffic.down} | |`);
  console.log(`| round trips of a site (plan, fit, close) | ${traffic.rounds} | |`);
}

/** Memory of one agent process with one trial: before it is asked anything, and at its peak. */
export async function benchAgentMemory(folder: string): Promise<void> {
  const data = join(folder, 'one');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'T01.csv'), csv(makeData(ROWS)));
  const plan = join(folder, 'plan.yaml');
  writeFileSync(plan, PLAN);
  await federation(join(folder, 'one-warm'), plan, data);
  const { peak, anonymous } = await federation(join(folder, 'one-out'), plan, data);
  // Twice: the first start compiles, and keeps what it compiled for the next.
  const first = await idleAgent(join(folder, 'idle-first'), plan, data);
  const idle = await idleAgent(join(folder, 'idle'), plan, data);
  const records = (ROWS * TERMS.length * 8) / 1e6;
  console.log('\nOne agent process\n\n| what | measured | goal |\n|---|---|---|');
  console.log(`| idle, resident (at its very first start ${first} MB) | ${idle} MB | ≤ 100 MB |`);
  console.log(
    `| peak resident over its data (${records.toFixed(1)} MB as columns) | ${Math.round(peak - records)} MB | ≤ 150 MB |`,
  );
  console.log(
    `| of it the process's own (the rest is program code, which agents of one machine share) | ${Math.round(anonymous - records)} MB | |`,
  );
}

/** Resident memory of an agent that is up and has no coordinator to talk to, MB. */
async function idleAgent(out: string, plan: string, data: string): Promise<number> {
  const { agentConfigs } = await prepare({ plan, data, out }, PLAN);
  // As the command runs it: alone, an agent would ask its custodian.
  const child = spawn(process.execPath, [AGENTS, agentConfigs[0] ?? ''], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill();
  await gone;
  return field(status, 'VmRSS');
}

/** Runs the command and watches its agent processes; resident memory from /proc, so Linux only. */
function federation(
  out: string,
  plan: string,
  data: string,
): Promise<{ wall: number; peak: number; anonymous: number }> {
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [COMMAND, 'local', '--plan', plan, '--data', data, '--out', out, '--json'],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  let [peak, anonymous] = [0, 0];
  const watch = setInterval(() => {
    for (const file of globSync('/proc/[0-9]*/cmdline')) {
      const status = agentStatus(file, out);
      if (status === null) continue;
      peak = Math.max(peak, field(status, 'VmHWM'));
      anonymous = Math.max(anonymous, field(status, 'RssAnon'));
    }
  }, 20);
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => {
      clearInterval(watch);
      if (code === 0) resolve({ wall: (performance.now() - start) / 1000, peak, anonymous });
      else reject(new Error(`concordat local ended with ${code}`));
    });
  });
}

function agentStatus(cmdline: string, out: string): string | null {
  try {
    const command = readFileSync(cmdline, 'utf8');
    if (!command.includes('local/agents.ts') || !command.includes(out)) return null;
    return readFileSync(cmdline.replace(/cmdline$/, 'status'), 'utf8');
  } catch {
    // The process ended between the listing and the reading.
    return null;
  }
}

function field(status: string, name: string): number {
  return Math.round(Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1000);
}

function siteTraffic(out: string): { up: number; down: number; rounds: number } {
  const log = new LogFolder(fs, join(out, 'log/sites/T01'));
  const entries = log.entries();
  const size = (kind: string): number =>
    entries
      .filter(hasBody)
      .filter((entry) => entry.kind === kind)
      .reduce((sum, entry) => sum + log.body(entry).length, 0);
  return {
    up: size('sent'),
    down: size('received'),
    rounds: entries.filter(({ kind }) => kind === 'sent').length,
  };
}

function writeTrials(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const all = makeData(TRIALS * ROWS);
  for (let trial = 0; trial < TRIALS; trial++) {
    const cut = (column: Float64Array): Float64Array => column.subarray(trial * ROWS, (trial + 1) * ROWS);
    const part = {
      n: ROWS,
      columns: all.columns.map(cut),
      continuous: cut(all.continuous),
      binary: cut(all.binary),
      time: cut(all.time),
      event: cut(all.event),
    };
    writeFileSync(join(folder, `T${String(trial + 1).padStart(2, '0')}.csv`), csv(part));
  }
}

function csv(data: ReturnType<typeof makeData>): string {
  const lines = [[...TERMS.slice(1), 'event'].join(',')];
  for (let i = 0; i < data.n; i++) {
    lines.push(
      [
        ...data.columns.slice(1).map((column) => column[i]!.toFixed(3).replace(/\.000$/, '')),
        data.binary[i],
      ].join(','),
    );
  }
  return `${lines.join('\n')}\n`;
}
