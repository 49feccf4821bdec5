/**
 * The log: what appending a message costs beside the flushes that it waits for, and how fast an audit reads a log of many. The bodies are of the sizes
 * that a site's log has: for each question a task of 900 bytes, a decision, and an answer of 1200.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { MessageLog, type LogItem, type LogOptions } from '@concordat/shared/log/message-log.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import {
  generateSigningKey,
  signingIdentity,
  signMessage,
  type SigningIdentity,
} from '@concordat/shared/wire/signing.ts';

import type { Audit } from './log-worker.ts';
import { writeLongLogs } from './long-logs.ts';
import { seconds, timeRuns } from './measure.ts';

const ORIGIN = siteOrigin('A');
const ENTRIES = 100_000;
const APPENDS = 600;
const WITHOUT_FLUSH: LogOptions['fs'] = { ...fs, fsyncSync: () => {} };

export function benchLog(folder: string): void {
  const identity = signingIdentity(generateSigningKey(), 'bench');
  const open = (directory: string, files: LogOptions['fs']): MessageLog =>
    new MessageLog({
      fs: files,
      directory,
      origin: ORIGIN,
      identity,
      now: () => new Date(),
      randomBytes: (n) => randomBytes(n),
    });
  const append = (name: string, files: LogOptions['fs']): number => {
    const log = open(join(folder, name), files);
    const items = question(0, identity);
    const { best } = timeRuns(
      () => {
        for (let i = 0; i < APPENDS / 3; i++) for (const { entry, body } of items) log.append(entry, body);
      },
      1,
      3,
    );
    log.close();
    return best / APPENDS;
  };
  const flushed = append('flushed', fs);
  const unflushed = append('unflushed', WITHOUT_FLUSH);

  const directory = join(folder, 'long');
  const long = open(directory, WITHOUT_FLUSH);
  for (let i = 0; i < ENTRIES; i += 3) long.appendAll(question(i, identity));
  long.close();
  const worker = join(import.meta.dirname, 'log-worker.ts');
  const key = toHex(identity.publicKey);
  const audit = JSON.parse(
    execFileSync(process.execPath, [worker, directory, ORIGIN, key], { encoding: 'utf8' }),
  ) as Audit;

  console.log('\nThe log\n\n| what | time | goal |\n|---|---|---|');
  console.log(`| a message, flushed | ${seconds(flushed)} | |`);
  console.log(`| of that, without the flushes | ${seconds(unflushed)} | ≤ 1 ms |`);
  console.log(`| audit of ${long.entries.length} entries | ${seconds(audit.seconds)} | ≤ 1.5 s |`);
  console.log(`| processor time of it | ${seconds(audit.processor)} | |`);
  console.log(`| resident at most | ${(audit.resident / 1e6).toFixed(0)} MB | ≤ 150 MB |`);
  benchVerify(join(folder, 'audited'));
}

/** `concordat audit verify`, the whole process on one core. */
function benchVerify(folder: string): void {
  const { keys, ...logs } = writeLongLogs(folder, ENTRIES);
  const command = join(import.meta.dirname, '../../cli/bin/concordat.mjs');
  console.log('\n| `concordat audit verify`, one core | time | resident at most |\n|---|---|---|');
  console.log(`| goal, ${ENTRIES} entries | ≤ 5 s | ≤ 200 MB |`);
  for (const [option, log] of Object.entries(logs)) {
    const verify = ['audit', 'verify', `--${option}`, log, ...keys.flatMap((key) => ['--key', key])];
    const start = performance.now();
    const { status, stderr } = spawnSync(
      'taskset',
      ['--cpu-list', '0', process.execPath, '--import', REPORT, command, ...verify],
      { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const took = (performance.now() - start) / 1000;
    if (status !== 0) throw new Error(`a finding in an honest log of the ${option}`);
    console.log(`| a ${option}'s log | ${seconds(took)} | ${(Number(stderr) / 1e3).toFixed(0)} MB |`);
  }
}

/** Has a process tell at its end how much memory it had, in kB. */
const REPORT = `data:text/javascript,${encodeURIComponent("process.on('exit', () => process.stderr.write(`${process.resourceUsage().maxRSS}`))")}`;

function question(round: number, identity: SigningIdentity): readonly LogItem[] {
  const task = toHex(sha256(`task ${round}`));
  // Signature and key are a hundred bytes of each.
  const message = (length: number): Uint8Array =>
    SignedMessage.encode(signMessage(identity, randomBytes(length))).finish();
  const place = { peer: 'coordinator', run: task.slice(0, 32), analysis: 'primary', round };
  return [
    { entry: { kind: 'received', ...place, type: 'stageOneTask', task }, body: message(800) },
    { entry: { kind: 'decision', ...place, task, detail: { by: 'each-plan', policy: task.slice(0, 64) } } },
    { entry: { kind: 'sent', ...place, type: 'stageOneEstimate', task }, body: message(1100) },
  ];
}
