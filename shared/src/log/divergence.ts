/**
 * A divergence as its witness logs it, with both signed checkpoints as evidence, and an administrator's acknowledgement of it. The
 * acknowledgement comes as a file beside the log, from the command line; the process that writes the log takes it in.
 */
import type * as fs from 'node:fs';
import { join } from 'node:path';

import { ConcordatError } from '../errors.ts';
import { schemaCheck } from '../plan/document.ts';
import { sha256, toHex } from '../wire/digest.ts';
import { hasBody, type EntryWithBody, type LogEntry } from './entry.ts';
import { LogFolder, type LogFiles } from './log-folder.ts';
import type { LogItem } from './message-log.ts';
import { readCheckpoint, type SignedCheckpoint } from './note.ts';
import { divergenceCode, type DivergenceKind } from './witness.ts';

export interface Divergence {
  readonly kind: DivergenceKind;
  /** Signed notes of one log: the one that its witness kept (or, of the own log, that the other side kept), and the one shown then. */
  readonly kept: string;
  readonly shown: string;
}

const checkEvidence = schemaCheck({
  type: 'object',
  additionalProperties: false,
  required: ['kept', 'shown'],
  properties: { kept: { type: 'string' }, shown: { type: 'string' } },
});

const bodyOf = ({ kept, shown }: Divergence): Uint8Array => Buffer.from(JSON.stringify({ kept, shown }));

/** What an acknowledgement names: SHA-256 (hex) of the evidence. */
export const evidenceOf = (divergence: Divergence): string => toHex(sha256(bodyOf(divergence)));

export function divergenceItem(divergence: Divergence, peer: string): Required<LogItem> {
  const { log, kept, shown } = headsOf(divergence);
  return {
    entry: {
      kind: 'decision',
      peer,
      type: 'divergence',
      detail: {
        divergence: divergence.kind,
        log,
        evidence: evidenceOf(divergence),
        kept_size: kept.size,
        kept_root: toHex(kept.root),
        size: shown.size,
        root: toHex(shown.root),
      },
    },
    body: bodyOf(divergence),
  };
}

/** `note`: the administrator's, for this side's own log. */
export function acknowledgementItem(divergence: Divergence, peer: string, note: string): LogItem {
  const { log } = headsOf(divergence);
  return {
    entry: {
      kind: 'decision',
      peer,
      type: 'acknowledgement',
      detail: { divergence: divergence.kind, log, evidence: evidenceOf(divergence) },
    },
    ...(note === '' ? {} : { body: Buffer.from(note) }),
  };
}

export interface LoggedDivergence extends Divergence {
  /** RFC 3339. */
  readonly time: string;
  readonly acknowledged: boolean;
}

/** The divergences with a peer that a log holds, in their order. */
export function loggedDivergences(
  entries: readonly LogEntry[],
  peer: string,
  body: (entry: EntryWithBody) => Uint8Array,
): readonly LoggedDivergence[] {
  const of = (type: string): readonly LogEntry[] =>
    entries.filter((entry) => entry.type === type && entry.kind === 'decision' && entry.peer === peer);
  const acknowledged = new Set(of('acknowledgement').map(({ detail }) => detail?.['evidence']));
  return of('divergence').flatMap((entry) => {
    if (!hasBody(entry)) return [];
    const evidence: unknown = JSON.parse(Buffer.from(body(entry)).toString('utf8'));
    if (checkEvidence(evidence).length > 0) return [];
    const kind = entry.detail?.['divergence'] === 'rollback' ? 'rollback' : 'split-view';
    const divergence = { kind, ...(evidence as Pick<Divergence, 'kept' | 'shown'>) } as const;
    return [{ ...divergence, time: entry.time, acknowledged: acknowledged.has(evidenceOf(divergence)) }];
  });
}

export function headsOf({ kept, shown }: Divergence): {
  readonly log: string;
  readonly kept: SignedCheckpoint;
  readonly shown: SignedCheckpoint;
} {
  const heads = { kept: readCheckpoint(kept), shown: readCheckpoint(shown) };
  if (heads.kept === null || heads.shown === null)
    throw new ConcordatError('log/corrupt', 'the evidence of a divergence is no signed checkpoint');
  return { log: heads.kept.origin, kept: heads.kept, shown: heads.shown };
}

/** In words, for an administrator. */
function describeDivergence(divergence: LoggedDivergence): string {
  const { log, kept, shown } = headsOf(divergence);
  const head = ({ size, root }: SignedCheckpoint): string => `${size} entries with root ${toHex(root)}`;
  return [
    `${divergenceCode(divergence.kind)}, noticed ${divergence.time}: of the log ${log}`,
    `  kept by its witness: ${head(kept)}`,
    `  shown then:          ${head(shown)}`,
  ].join('\n');
}

interface Acknowledgement {
  /** Of the divergences that the administrator was shown. */
  readonly evidence: readonly string[];
  readonly note: string;
}

/** Longest note of an administrator. */
const NOTE_LENGTH = 2000;

const checkAcknowledgement = schemaCheck({
  type: 'object',
  additionalProperties: false,
  required: ['evidence', 'note'],
  properties: {
    evidence: { type: 'array', items: { type: 'string', pattern: '^[0-9a-f]{64}$' } },
    note: { type: 'string', maxLength: NOTE_LENGTH },
  },
});

export const acknowledgementsFolder = (log: string): string => join(log, 'acknowledgements');

const fileOf = (log: string, origin: string): string =>
  join(acknowledgementsFolder(log), `${encodeURIComponent(origin)}.json`);

/**
 * Acknowledges the open divergences with a peer, from beside the process that writes the log, whether it runs or not; what was
 * acknowledged, in words. `origin`: of the peer's log.
 */
export function acknowledgeDivergences(
  files: LogFiles & Pick<typeof fs, 'mkdirSync' | 'writeFileSync' | 'renameSync'>,
  log: string,
  { peer, origin, note }: { readonly peer: string; readonly origin: string; readonly note: string },
): string {
  const open = openDivergences(files, log, peer);
  if (open.length === 0) return `nothing is to be acknowledged: this side has not halted for ${peer}`;
  const acknowledgement: Acknowledgement = { evidence: open.map(evidenceOf), note };
  // What the other process would not take is not said to be acknowledged.
  if (checkAcknowledgement(acknowledgement).length > 0)
    throw new ConcordatError('usage/invalid', 'the note of an acknowledgement is too long', {
      place: '--note',
      remedy: `give a note of at most ${NOTE_LENGTH} characters`,
    });
  const file = fileOf(log, origin);
  try {
    files.mkdirSync(acknowledgementsFolder(log), { recursive: true, mode: 0o700 });
    files.writeFileSync(`${file}.part`, JSON.stringify(acknowledgement), { mode: 0o600, flush: true });
    files.renameSync(`${file}.part`, file);
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the folder of the log cannot be written', {
      place: log,
      remedy: 'give the command as the user that the program runs as',
      cause,
    });
  }
  return [
    ...open.map(describeDivergence),
    'acknowledged on this side; the two go on when the other side has acknowledged it too',
  ].join('\n');
}

/** Read beside the process that writes the log. */
export function openDivergences(files: LogFiles, log: string, peer: string): readonly LoggedDivergence[] {
  const folder = new LogFolder(files, log);
  return loggedDivergences(folder.entries(), peer, (entry) => folder.body(entry)).filter(
    ({ acknowledged }) => !acknowledged,
  );
}

/** The acknowledgement that waits; null where there is none. Unusable is one that cannot be read here, or that is none. */
export function waitingAcknowledgement(
  files: Pick<typeof fs, 'readFileSync' | 'existsSync'>,
  log: string,
  origin: string,
): Acknowledgement | 'unusable' | null {
  const file = fileOf(log, origin);
  if (!files.existsSync(file)) return null;
  try {
    const value: unknown = JSON.parse(files.readFileSync(file, 'utf8'));
    return checkAcknowledgement(value).length > 0 ? 'unusable' : (value as Acknowledgement);
  } catch {
    return 'unusable';
  }
}

export const dropAcknowledgement = (files: Pick<typeof fs, 'rmSync'>, log: string, origin: string): void =>
  files.rmSync(fileOf(log, origin), { force: true });
