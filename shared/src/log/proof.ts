/** Proofs that an entry is in a log, to be kept and checked without it (C2SP tlog-proof). Reading is strict: a proof has one encoding. */
import { HASH_LENGTH } from './merkle.ts';
import { base64, canonical, readCheckpoint, type SignedCheckpoint } from './note.ts';

export interface LogProof {
  readonly index: number;
  /** From the leaf's sibling up. */
  readonly hashes: readonly Uint8Array[];
  /** The signed note, cosignatures included. */
  readonly note: string;
}

const FIRST = 'c2sp.org/tlog-proof@v1';
/** A tree has fewer levels. */
const LEVELS = 63;

export function writeProof({ index, hashes, note }: LogProof): string {
  return [FIRST, `index ${index}`, ...hashes.map(base64), '', note].join('\n');
}

/** Null where the text is none. What stands in its `extra` line is signed by nobody, and passed over. */
export function readProof(text: string): (LogProof & { readonly checkpoint: SignedCheckpoint }) | null {
  const end = text.indexOf('\n\n');
  if (end < 0) return null;
  const [first, ...lines] = text.slice(0, end).split('\n');
  if (first !== FIRST) return null;
  const [, extra] = /^extra (.*)$/s.exec(lines[0] ?? '') ?? [];
  if (extra !== undefined && (extra === '' || canonical(extra) === null)) return null;
  if (extra !== undefined) lines.shift();
  const [, digits] = /^index (0|[1-9]\d{0,14})$/.exec(lines.shift() ?? '') ?? [];
  const hashes = lines.map(canonical);
  const note = text.slice(end + 2);
  const checkpoint = readCheckpoint(note);
  if (digits === undefined || checkpoint === null || hashes.length > LEVELS) return null;
  if (!hashes.every((hash) => hash?.length === HASH_LENGTH)) return null;
  return { index: Number(digits), hashes: hashes as readonly Uint8Array[], note, checkpoint };
}
