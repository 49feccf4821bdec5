/**
 * Reads one log under audit from its first byte to its last, and yields its entries in order. Whatever is wrong with the log by itself (hashes,
 * signatures, files, order, times) is told; what its messages mean is not looked at.
 *
 * Memory: the tree (64 bytes an entry), one bundle of entries and a window of bodies. Nothing that a file says is taken for a size to set aside.
 */
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { hasBody, type EntryWithBody } from '@concordat/shared/log/entry.ts';
import type { MerkleTree, TreeHead } from '@concordat/shared/log/merkle.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { bodiesPath, openBundlePath, TILE_WIDTH, tilePath } from '@concordat/shared/log/tiles.ts';
import { verifyMessage } from '@concordat/shared/wire/signing.ts';

import type { AuditedEntry } from './audited-entry.ts';
import { BodyReader } from './body-reader.ts';
import { BUNDLE_LIMIT, readBundle, type Bundle, type Frame } from './bundle.ts';
import { checkTiles } from './check-tiles.ts';
import {
  checkCosigned,
  checkOwnCheckpoint,
  checkPeerNotes,
  ownersSignature,
  readOwnCheckpoint,
  readPeerNotes,
  type OwnCheckpoint,
  type PeerNote,
} from './checkpoints.ts';
import { EntryChecks, watchesOf, type Watch } from './entry-checks.ts';
import { Evidence, type Growth } from './evidence.ts';
import { Faults } from './faults.ts';
import type { Report } from './finding.ts';
import { takeInventory, type BundleFile, type Inventory } from './inventory.ts';
import { readWhole, type LogSource } from './log-source.ts';
import { TileRecords } from './tile-records.ts';

export interface LogSummary {
  /** Null where neither the checkpoint nor a cosigned one can be read. */
  readonly origin: string | null;
  /** The log's own, with its note; null where there is none that can be read. */
  readonly checkpoint: (TreeHead & { readonly note: string }) | null;
  /** Of all entries, those behind the checkpoint too. */
  readonly tree: MerkleTree;
  /** Whether the tree has the root that the checkpoint (or where that is unusable, the latest cosigned one) signs. Where not, a finding says so. */
  readonly proven: boolean;
  readonly bodiesWithheld: boolean;
  /** Entries whose bodies are erased, in order. */
  readonly erased: readonly (readonly [first: number, last: number])[];
  /** Checkpoints of this log that peers cosigned, and peers' that this side did: with good signatures, as far as keys are known. */
  readonly cosigned: readonly PeerNote[];
  readonly witness: readonly PeerNote[];
  /** Keys that were not given, taken from signed messages in this log, by the origin that they sign for: what they prove holds only if they are right. */
  readonly learnt: ReadonlyMap<string, Uint8Array>;
}

/** `keys` by the origin that they sign for. */
export function* auditLog(
  source: LogSource,
  keys: ReadonlyMap<string, Uint8Array>,
  report: Report,
): Generator<AuditedEntry, LogSummary> {
  const own = readOwnCheckpoint(source);
  const faults = new Faults(report);
  const inventory = takeInventory(source, faults);
  const peers = readPeerNotes(source, inventory.notes, faults);
  const origin = originOf(own, peers, keys);
  const watches = watchesOf(peers.filter(({ kind }) => kind === 'cosigned'));
  const checks = new EntryChecks(faults, watches);
  const evidence = new Evidence(new TileRecords(source, inventory.tiles));
  const bodiesWithheld = !source.folders.has('bodies') && inventory.bodies.size === 0;
  const learnt = new Map<string, Uint8Array>();
  const window = BodyReader.window(source, inventory.bodies.values());
  let torn: Bundle | null = null;

  for (const file of inventory.bundles) {
    const bundle = readFile(source, file, faults);
    const growth = growthOf(file, inventory, faults);
    if (bundle === null) {
      evidence.addMissing(file.index);
      continue;
    }
    evidence.add(bundle, growth);
    if (growth === 'growing' && bundle.length < bundle.size) torn = bundle;
    const frames = inOrder(bundle);
    const withBody = frames.flatMap(({ entry }) => (hasBody(entry) ? [entry] : []));
    const bodies = bodiesWithheld
      ? null
      : openBodies(source, inventory, file.index, withBody, window, faults);
    let next = 0;
    for (const { entry, leaf } of frames) {
      checks.check(entry, file.path);
      let body: AuditedEntry['body'] = null;
      if (hasBody(entry)) {
        body = bodiesWithheld ? 'withheld' : (bodies?.read(next++) ?? 'unusable');
        if (body === 'erased' || body instanceof Uint8Array) checks.body(entry.n, body === 'erased');
        if (body instanceof Uint8Array) learn(entry, body, origin, keys, learnt);
      }
      yield { entry, leaf, body };
    }
    bodies?.end(growth === 'growing');
  }
  checkStrayBodies(source, inventory, faults);
  checks.end((n) => bodiesPath(Math.floor(n / TILE_WIDTH)));
  const read = { own, origin, inventory, peers, watches, evidence, torn };
  return { ...conclude(source, read, keys, learnt, faults), bodiesWithheld, erased: checks.erased };
}

/** What is known of a log once all of its entries were read. */
interface Reading {
  readonly own: OwnCheckpoint | null;
  readonly origin: string | null;
  readonly inventory: Inventory;
  readonly peers: readonly PeerNote[];
  readonly watches: readonly Watch[];
  readonly evidence: Evidence;
  /** The bundle that ends in the middle of an entry. */
  readonly torn: Bundle | null;
}

/** Holds what was read against what was signed, and tells all that is wrong. */
function conclude(
  source: LogSource,
  { own, origin, inventory, peers, watches, evidence, torn }: Reading,
  keys: ReadonlyMap<string, Uint8Array>,
  learnt: ReadonlyMap<string, Uint8Array>,
  faults: Faults,
): Omit<LogSummary, 'bodiesWithheld' | 'erased'> {
  const keyOf = (name: string): Uint8Array | undefined => keys.get(name) ?? learnt.get(name);
  const checkpoint = own?.read ?? null;
  const signed = checkpoint === null ? false : ownersSignature(checkpoint, keyOf);
  const good = checkPeerNotes(peers, origin, keyOf, faults);
  const cosigned = good.filter(({ kind }) => kind === 'cosigned');
  const heads = cosigned.map(({ read }) => read).toSorted((a, b) => a.size - b.size);
  const anchor = signed === false ? (heads.at(-1) ?? null) : checkpoint;
  evidence.settle(anchor);
  const { tree, proven } = evidence;
  const pathOf = (n: number): string => {
    const index = Math.floor(n / TILE_WIDTH);
    const full = source.files.has(tilePath(0, index));
    return inventory.bundles[index]?.path ?? (full ? tilePath('entries', index) : openBundlePath(index));
  };
  const before = faults.count;
  evidence.tell(faults);
  const explained = faults.count > before;
  if (anchor !== null && !explained && anchor.size > tree.size)
    faults.find(
      'truncation',
      { file: pathOf(tree.size), entry: tree.size },
      `the log was signed with ${anchor.size} entries, and has ${tree.size}`,
    );
  else if (anchor !== null && !explained && !proven) evidence.tellUnproven(anchor, heads, pathOf, faults);
  checkOwnCheckpoint(own, signed, tree, origin, faults);
  checkCosigned(cosigned, tree, faults);
  checkTiles(source, inventory, evidence, faults);
  if (proven && signed !== false && checkpoint !== null && checkpoint.size < tree.size) {
    const more = tree.size - checkpoint.size;
    const place = { file: pathOf(checkpoint.size), entry: checkpoint.size };
    if (source.isWritten?.() === true)
      faults.note(
        place,
        'a process is writing the log: what it has added since it was opened here is not signed yet',
      );
    else
      faults.find(
        'insertion',
        place,
        `${more === 1 ? 'one entry stands' : `${more} entries stand`} after those that the checkpoint signs: a process may have died between writing and signing, and signs what it wrote when it is started again; or somebody added them`,
      );
  }
  if (torn !== null && !evidence.isDamaged(torn.first, true))
    faults.note(
      { file: torn.path, byte: torn.length },
      `${torn.size - torn.length} bytes of an entry that is not whole: a process died while it wrote it, and nothing was sent`,
    );
  checkWatches(watches, good, pathOf, faults);
  faults.tell(origin, (n, bundle) => evidence.isDamaged(n, bundle));
  return {
    origin,
    checkpoint:
      own === null || checkpoint === null
        ? null
        : { size: checkpoint.size, root: checkpoint.root, note: Buffer.from(own.bytes).toString('utf8') },
    tree,
    proven,
    cosigned,
    witness: good.filter(({ kind }) => kind === 'witness'),
    learnt,
  };
}

/** A peer may sign any number as its time. */
/**
 * Entries that say they are older than a cosignature without them. One peer alone proves no backdating: it dates its cosignatures as it
 * likes, and either clock may be the wrong one.
 */
function checkWatches(
  watches: readonly Watch[],
  good: ReturnType<typeof checkPeerNotes>,
  pathOf: (n: number) => string,
  faults: Faults,
): void {
  const ahead = watches.flatMap(({ note, seconds, earlier }) =>
    earlier !== null && good.some(({ file, seconds: at }) => file === note.file && at === seconds)
      ? [{ peer: note.peer, at: timeOf(seconds), earlier }]
      : [],
  );
  const agreed = new Set(ahead.map(({ peer }) => peer)).size > 1;
  for (const { peer, at, earlier } of ahead) {
    const { n, time } = earlier;
    const place = { file: pathOf(n) };
    if (agreed)
      faults.suspect(
        n,
        'backdating',
        place,
        `the entry says ${time}, and ${peer} cosigned the log without it at ${at}`,
      );
    else
      faults.note(
        { ...place, entry: n },
        `the clocks of the two sides differ: the entry says ${time}, and ${peer} dates its cosignature over the log without it ${at}`,
      );
  }
}

function timeOf(seconds: number): string {
  const time = new Date(1000 * seconds);
  return Number.isNaN(time.getTime()) ? `second ${seconds} since 1970` : time.toISOString();
}

type ReadFrame = Frame & { readonly entry: NonNullable<Frame['entry']> };

/** What reads as an entry of this bundle, by its number; of two with the same, the first. */
function inOrder({ frames, first }: Bundle): readonly ReadFrame[] {
  const sound = frames.filter(
    (frame): frame is ReadFrame =>
      frame.entry !== null && frame.entry.n >= first && frame.entry.n < first + TILE_WIDTH,
  );
  if (sound.every(({ entry: { n } }, i) => n === first + i)) return sound;
  const byNumber = new Map(sound.toReversed().map((frame) => [frame.entry.n, frame]));
  return [...byNumber.values()].toSorted((a, b) => a.entry.n - b.entry.n);
}

function readFile(source: LogSource, { path, index, kind }: BundleFile, faults: Faults): Bundle | null {
  if (kind === 'missing') return null;
  const bytes = readWhole(source, path, BUNDLE_LIMIT);
  if (bytes !== null) return readBundle(path, index * TILE_WIDTH, bytes);
  const size = source.files.get(path) ?? 0;
  faults.find(
    size > BUNDLE_LIMIT ? 'insertion' : 'malformed',
    { file: path },
    size > BUNDLE_LIMIT ? `${size} bytes are more than a bundle may have` : 'the file cannot be read',
  );
  return null;
}

function growthOf({ index, kind, path }: BundleFile, { bundles }: Inventory, faults: Faults): Growth {
  if (kind === 'bundle' || kind === 'missing') return 'full';
  if (index < bundles.length - 1) {
    faults.find(
      'malformed',
      { file: path },
      'another bundle follows, and this one has the name of one that is not full',
    );
    return 'full';
  }
  return kind === 'open' ? 'growing' : 'short';
}

function openBodies(
  source: LogSource,
  { bodies }: Inventory,
  index: number,
  entries: readonly EntryWithBody[],
  window: Uint8Array,
  faults: Faults,
): BodyReader | null {
  const path = bodies.get(index);
  if (path !== undefined) return new BodyReader(source, path, index * TILE_WIDTH, entries, window, faults);
  if (entries[0] !== undefined)
    faults.suspect(
      entries[0].n,
      'omission',
      { file: bodiesPath(index) },
      `the bodies of ${entries.length} entries are missing`,
    );
  return null;
}

/** Bodies of bundles that the log does not have. */
function checkStrayBodies(source: LogSource, { bodies, bundles }: Inventory, faults: Faults): void {
  for (const [index, path] of bodies) {
    if (bundles[index] !== undefined) continue;
    if (index > bundles.length)
      faults.find('insertion', { file: path }, 'bodies of a bundle that the log does not have');
    else if (source.files.get(path) !== 0)
      faults.note({ file: path }, 'bodies without entries: a process died before it logged them');
  }
}

/** Whose log it is: as its checkpoint says, unless no key is known for that name, and its signatures, or what peers cosigned, name another. */
function originOf(
  own: OwnCheckpoint | null,
  peers: readonly PeerNote[],
  keys: ReadonlyMap<string, Uint8Array>,
): string | null {
  const told = own?.read?.origin ?? null;
  if (told !== null && keys.has(told)) return told;
  const text = Buffer.from(own?.bytes ?? []).toString('utf8');
  const cosigned = peers.filter(({ kind }) => kind === 'cosigned').map(({ read }) => read.origin);
  const signing = [...keys.keys()].filter((name) => text.includes(`\n\n— ${name} `));
  return [...signing, ...cosigned].find((name) => keys.has(name)) ?? told ?? cosigned[0] ?? null;
}

/** Takes the key of a side from the first message that it signed, and that of a site again from each plan that it accepted: it may have joined anew. */
function learn(
  entry: EntryWithBody,
  body: Uint8Array,
  origin: string | null,
  keys: ReadonlyMap<string, Uint8Array>,
  learnt: Map<string, Uint8Array>,
): void {
  const { kind, peer, type } = entry;
  if (kind !== 'sent' && kind !== 'received') return;
  const other = origin === COORDINATOR_ORIGIN ? siteOrigin(peer ?? '') : COORDINATOR_ORIGIN;
  const name = kind === 'sent' ? origin : other;
  if (name === null || keys.has(name) || (learnt.has(name) && type !== 'planAccepted')) return;
  try {
    const message = SignedMessage.decode(body);
    verifyMessage(message, message.key, name);
    learnt.set(name, Uint8Array.from(message.key));
  } catch {
    // No signed message: what is logged so is told elsewhere.
  }
}
