/** Runs, folders and logs for the coordinator's tests. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageLog, type LogOptions } from '@concordat/shared/log/message-log.ts';
import { coordinator, PLAN, roster } from '@concordat/shared/runs/testing.ts';
import type { RunRecord } from '../store/journal.ts';

export function newRun(): RunRecord {
  return {
    id: new Uint8Array(randomBytes(16)),
    plan: PLAN,
    roster,
    started: '2026-01-01T00:00:00Z',
    signature: null,
  };
}

const root = fs.mkdtempSync(join(tmpdir(), 'runs-'));
process.once('exit', () => fs.rmSync(root, { recursive: true, force: true }));

export function newFolder(): string {
  return fs.mkdtempSync(join(root, 'run-'));
}

export function openLog(directory: string, files: LogOptions['fs'] = fs): MessageLog {
  return new MessageLog({
    fs: files,
    directory,
    origin: 'concordat/coordinator',
    identity: coordinator,
    now: () => new Date('2026-01-01T00:00:00Z'),
    randomBytes: (n) => randomBytes(n),
  });
}
