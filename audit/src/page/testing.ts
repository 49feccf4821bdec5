/** For tests of pages: a log whose entries are in memory; to hand over, there is another one in a folder. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { MerkleTree } from '@concordat/shared/log/merkle.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { signCheckpoint } from '@concordat/shared/log/note.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

import type { AuditParts } from './routes.ts';

/** The routes that auditors have besides a program's own. */
export const AUDIT_ROUTES = [
  'GET /audit',
  'GET /audit/bundle',
  'GET /audit/entry/:n',
  'GET /audit/entry/:n/leaf',
  'GET /audit/entry/:n/receipt',
];

/** Signs for all of these logs. */
export const LOG_IDENTITY = signingIdentity(generateSigningKey(), 'the log');

/** A log in a folder of its own, which is gone with the process. */
export function folderLog(): { readonly log: MessageLog; readonly folder: string } {
  const folder = fs.mkdtempSync(join(tmpdir(), 'audit-'));
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  const log = new MessageLog({
    fs,
    directory: folder,
    origin: 'concordat/site/A',
    identity: LOG_IDENTITY,
    now: () => new Date('2026-01-01T00:00:00Z'),
    randomBytes: (n) => new Uint8Array(randomBytes(n)),
  });
  return { log, folder };
}

/** `kept`: types of bodies that stay with custodians. */
export function memoryAudit(
  entries: readonly LogEntry[],
  kept: readonly string[] = [],
  body: AuditParts['log']['body'] = () => new Uint8Array(0),
): AuditParts {
  const tree = new MerkleTree();
  for (const entry of entries) tree.append(Buffer.from(JSON.stringify(entry)));
  const head = { size: tree.size, root: tree.root() };
  const note = signCheckpoint({ origin: 'concordat/site/A', ...head }, LOG_IDENTITY);
  const { log: small, folder } = folderLog();
  small.append({ kind: 'start' });
  small.close();
  const log = { entries, body, tree, note, checkpoint: () => head };
  return { title: 'Audit', log, folder, kept: new Set(kept) };
}
