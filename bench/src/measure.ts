import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Seconds of the best run, as R's side measures it, after `warm` runs that are not counted; `first` is the very first one, before anything is compiled. */
export function timeRuns(
  work: () => void,
  warm: number,
  runs: number,
): { readonly first: number; readonly best: number } {
  const once = (): number => {
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
  };
  const first = once();
  for (let i = 1; i < warm; i++) once();
  const times = Array.from({ length: runs }, once).toSorted((a, b) => a - b);
  return { first, best: times[0] ?? first };
}

/** Runs one of bench/R's scripts on one thread and reads the JSON that it prints. */
export function runR(script: string, args: readonly string[]): unknown {
  const output = execFileSync('Rscript', ['--vanilla', join(import.meta.dirname, '../R', script), ...args], {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  });
  return JSON.parse(output);
}

export function seconds(value: number): string {
  return value < 0.001
    ? `${(value * 1e6).toFixed(0)} µs`
    : value < 1
      ? `${(value * 1e3).toFixed(1)} ms`
      : `${value.toFixed(2)} s`;
}

export interface Row {
  readonly what: string;
  readonly concordat: string;
  readonly r: string;
  readonly ratio: string;
  readonly goal: string;
}

export function ratioRow(what: string, own: number, r: number, goal: number): Row {
  return {
    what,
    concordat: seconds(own),
    r: seconds(r),
    ratio: `${(r / own).toFixed(1)}×`,
    goal: `≥ ${goal}×`,
  };
}

export function printTable(title: string, rows: readonly Row[]): void {
  console.log(`\n${title}\n`);
  console.log('| what | Concordat | R | ratio | goal |\n|---|---|---|---|---|');
  for (const row of rows)
    console.log(`| ${row.what} | ${row.concordat} | ${row.r} | ${row.ratio} | ${row.goal} |`);
}
