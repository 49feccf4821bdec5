/** Holds every tile of a log against its tree, and every copy of a bundle that was published before it was full. */
import { HASH_LENGTH, type MerkleTree } from '@concordat/shared/log/merkle.ts';
import { openBundlePath, TILE_WIDTH, tilePath } from '@concordat/shared/log/tiles.ts';

import { BUNDLE_LIMIT, firstDifference, placesByHash, readBundle } from './bundle.ts';
import type { Evidence } from './evidence.ts';
import type { Faults } from './faults.ts';
import type { Inventory } from './inventory.ts';
import { readWhole, type LogSource } from './log-source.ts';
import { split } from './tile-records.ts';

type Tile = Inventory['tiles'][number];

export function checkTiles(
  source: LogSource,
  inventory: Inventory,
  evidence: Evidence,
  faults: Faults,
): void {
  const { tree } = evidence;
  /** Of a log that lost its end, tiles that reach beyond it are no finding of their own. */
  const complete = faults.count === 0;
  const beyond: Tile[] = [];
  for (const tile of inventory.tiles) {
    const { path, level, index, width } = tile;
    const size = source.files.get(path) ?? 0;
    const full = width * HASH_LENGTH;
    if (size > full)
      faults.find(
        'insertion',
        { file: path, byte: full },
        'there are bytes behind the last hash of the tile',
      );
    else if (size < full)
      faults.find('truncation', { file: path, byte: size }, 'hashes are missing at the end of the tile');
    const bytes = readWhole(source, path, full);
    if (bytes === null) {
      if (size <= full) faults.find('malformed', { file: path }, 'the tile cannot be read');
      continue;
    }
    if ((index * TILE_WIDTH + width) * TILE_WIDTH ** level > tree.size) beyond.push(tile);
    else if (
      size === full &&
      !(level === 0 && !evidence.proven && evidence.isDamaged(index * TILE_WIDTH, true))
    )
      compare(tile, bytes, tree, evidence.proven || complete, faults);
  }
  if (complete && beyond[0] !== undefined)
    faults.find(
      'truncation',
      { file: beyond[0].path },
      `the tile holds hashes of entries that the log does not have${beyond.length > 1 ? `, and so do ${beyond.length - 1} others` : ''}`,
    );
  checkMissing(source, inventory, tree, faults);
  checkCopies(source, inventory, evidence, faults);
}

function compare(
  { path, level, index }: Tile,
  bytes: Uint8Array,
  tree: MerkleTree,
  sure: boolean,
  faults: Faults,
): void {
  if (!sure) return;
  const differing = split(bytes).flatMap((hash, i) => {
    const right = tree.hash(8 * level, index * TILE_WIDTH + i);
    const at = hash.findIndex((byte, j) => byte !== right[j]);
    return at < 0 ? [] : [i * HASH_LENGTH + at];
  });
  const byte = differing[0];
  if (byte === undefined) return;
  faults.find(
    'mutation',
    { file: path, byte },
    `${differing.length === 1 ? 'a hash' : `${differing.length} hashes`} in the tile ${differing.length === 1 ? 'is' : 'are'} not what the log's entries give`,
  );
}

function checkMissing(
  source: LogSource,
  { tiles, bundles }: Inventory,
  tree: MerkleTree,
  faults: Faults,
): void {
  const there = new Set(tiles.map(({ path }) => path));
  const last = bundles.at(-1);
  for (
    let level = 0, count = Math.floor(tree.size / TILE_WIDTH);
    count > 0;
    level++, count = Math.floor(count / TILE_WIDTH)
  ) {
    const missing: number[] = [];
    for (let index = 0; index < count; index++) if (!there.has(tilePath(level, index))) missing.push(index);
    const first = missing[0];
    if (first === undefined) continue;
    const file = tilePath(level, first);
    // A process that dies writes them when it is started again: the bundle that it had filled is the last one, and no other was begun.
    const died =
      missing.length === 1 &&
      (first + 1) * TILE_WIDTH ** level === last!.index + 1 &&
      tree.size % TILE_WIDTH === 0 &&
      !source.files.has(openBundlePath(first + 1));
    if (died)
      faults.note(
        { file },
        'the tile of the last bundle is missing: the process may have died before it wrote it',
      );
    else
      faults.find(
        'omission',
        { file },
        missing.length === 1
          ? 'the tile is missing'
          : `${missing.length} tiles of this level are missing, this one first`,
      );
  }
  const width = tree.size % TILE_WIDTH;
  const partial = tilePath(0, Math.floor(tree.size / TILE_WIDTH), width);
  if (width > 0 && !there.has(partial))
    faults.note(
      { file: partial },
      'the tile of the last entries is not there: the process is running, or did not end in order',
    );
}

function checkCopies(
  source: LogSource,
  { copies, bundles }: Inventory,
  evidence: Evidence,
  faults: Faults,
): void {
  const { tree } = evidence;
  for (const { path, index, width } of copies) {
    const first = index * TILE_WIDTH;
    // What stands in for the bundle itself was read as that.
    if (bundles[index]?.path === path) continue;
    const bytes = readWhole(source, path, BUNDLE_LIMIT);
    if (bytes === null) {
      faults.find('malformed', { file: path }, 'the bundle cannot be read, or is longer than any');
      continue;
    }
    if (first + width > tree.size) {
      faults.find(
        'truncation',
        { file: path },
        `a copy of the bundle counts ${first + width} entries, and the log has ${tree.size}`,
      );
      continue;
    }
    const { frames, length } = readBundle(path, first, bytes);
    const leaves = Array.from({ length: width }, (_, i) => tree.hash(0, first + i));
    const difference =
      firstDifference(placesByHash(frames, leaves), width) ??
      altered(frames.findIndex(({ lengthAltered }) => lengthAltered)) ??
      (length < bytes.length
        ? { kind: 'insertion' as const, at: width, message: 'there are bytes behind the last entry' }
        : null);
    if (difference === null || (evidence.isDamaged(index * TILE_WIDTH, true) && !evidence.proven)) continue;
    const { kind, at, message } = difference;
    faults.find(
      kind,
      { file: path, byte: frames[at]?.start ?? length, ...(at < width ? { entry: first + at } : {}) },
      `in a copy of the bundle: ${message}`,
    );
  }
}

const altered = (at: number): ReturnType<typeof firstDifference> =>
  at < 0 ? null : { kind: 'mutation', at, message: 'the length before the entry is not its own' };
