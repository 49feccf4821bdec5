/**
 * Makes every fixture again with its R script, in a folder of its own, and compares: the committed numbers are what R gives.
 * Versions may differ between machines; numbers may differ by rounding only. The R packages that they need are those that `.ci/run` installs.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

const TOLERANCE = 1e-7;
const fixtures = join(import.meta.dirname, '../test/fixtures');
let compared = 0;
const differences: string[] = [];

function compare(path: string, committed: unknown, made: unknown): void {
  if (/\.(software|versions)$/.test(path)) return;
  if (typeof committed === 'number' && typeof made === 'number') {
    compared++;
    const scale = Math.max(1e-6, Math.abs(committed));
    if (Math.abs(committed - made) > TOLERANCE * scale)
      differences.push(`${path}: ${committed} is committed, R gives ${made}`);
  } else if (
    typeof committed === 'object' &&
    committed !== null &&
    typeof made === 'object' &&
    made !== null
  ) {
    const keys = new Set([...Object.keys(committed), ...Object.keys(made)]);
    for (const key of keys) {
      compare(
        `${path}.${key}`,
        (committed as Record<string, unknown>)[key],
        (made as Record<string, unknown>)[key],
      );
    }
  } else if (committed !== made) {
    differences.push(`${path}: ${JSON.stringify(committed)} is committed, R gives ${JSON.stringify(made)}`);
  }
}

for (const script of globSync(join(fixtures, '*/make.R'))) {
  const folder = mkdtempSync(join(tmpdir(), 'fixtures-'));
  cpSync(dirname(script), folder, { recursive: true });
  execFileSync('Rscript', ['--vanilla', 'make.R'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  for (const file of globSync(join(dirname(script), '*.json'))) {
    const name = join(basename(dirname(script)), basename(file));
    compare(
      name,
      JSON.parse(readFileSync(file, 'utf8')),
      JSON.parse(readFileSync(join(folder, basename(file)), 'utf8')),
    );
  }
  rmSync(folder, { recursive: true });
}
for (const difference of differences.slice(0, 20)) console.error(difference);
console.log(`fixtures: ${compared} numbers compared with R, ${differences.length} differences`);
if (compared === 0 || differences.length > 0) process.exitCode = 1;
