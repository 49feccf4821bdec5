/** The published command as a child process: a plan and a data folder in, result.json out. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';

const COMMAND = resolve(import.meta.dirname, '../../node_modules/.bin/concordat');
/** Exit status of a finished run of which an analysis failed. */
const ANALYSIS_FAILED = 3;

export interface LocalRun {
  readonly plan: WrittenPlan;
  /** The data folder. */
  readonly data: string;
  /** Folder of harmonisation maps. */
  readonly map?: string;
}

/** `concordat local --policy open`; rejects with the end of what it printed where there is no result, of however many analyses. */
export async function runLocal({ plan, data, map }: LocalRun): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'concordat-reference-run-'));
  try {
    const file = join(folder, 'plan.yaml');
    const out = join(folder, 'out');
    mkdirSync(out);
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(plan));
    const args = ['local', '--plan', file, '--data', data, '--out', out, '--policy', 'open'];
    await new Promise<void>((done, fail) => {
      execFile(
        process.execPath,
        [COMMAND, ...args, ...(map === undefined ? [] : ['--map', map])],
        { maxBuffer: 2 ** 26 },
        (error, stdout, stderr) =>
          error === null || (error.code === ANALYSIS_FAILED && existsSync(join(out, 'result.json')))
            ? done()
            : fail(new Error(`exit status ${error.code}\n${stdout.slice(-2000)}\n${stderr}`)),
      );
    });
    return JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')) as Result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
