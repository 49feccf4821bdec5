/** The tiles of hashes over a log: a second record of its leaves, and of the trees over them. */
import { HASH_LENGTH, type MerkleTree } from '@concordat/shared/log/merkle.ts';
import { TILE_WIDTH } from '@concordat/shared/log/tiles.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

import type { Inventory } from './inventory.ts';
import { readWhole, type LogSource } from './log-source.ts';

type Tile = Inventory['tiles'][number];

export class TileRecords {
  readonly #source: LogSource;
  readonly #widest = new Map<string, Tile>();
  readonly #tiles: readonly Tile[];
  /** The tile of the level above that was asked last. */
  #above: { readonly index: number; readonly hashes: readonly Uint8Array[] } | null = null;

  constructor(source: LogSource, tiles: readonly Tile[]) {
    this.#source = source;
    this.#tiles = tiles;
    for (const tile of tiles) {
      const key = `${tile.level} ${tile.index}`;
      if (tile.width > (this.#widest.get(key)?.width ?? 0)) this.#widest.set(key, tile);
    }
  }

  /** The hashes of a bundle's entries as far as a tile of the right size has them. */
  leaves(bundle: number): readonly Uint8Array[] {
    return this.#hashes(0, bundle);
  }

  /** The root over a full bundle, if the tile above has it. */
  above(bundle: number): Uint8Array | null {
    const index = Math.floor(bundle / TILE_WIDTH);
    if (this.#above?.index !== index) this.#above = { index, hashes: this.#hashes(1, index) };
    return this.#above.hashes[bundle % TILE_WIDTH] ?? null;
  }

  /** The first leaf of the smallest subtree that a tile above the leaves has another root for. */
  firstMismatch(tree: MerkleTree): number | null {
    for (const { level, index } of this.#tiles) {
      if (level === 0) continue;
      const span = TILE_WIDTH ** level;
      const hashes = this.#hashes(level, index);
      const at = hashes.findIndex((hash, i) => {
        const place = index * TILE_WIDTH + i;
        return (place + 1) * span <= tree.size && !sameBytes(hash, tree.hash(8 * level, place));
      });
      if (at >= 0) return (index * TILE_WIDTH + at) * span;
    }
    return null;
  }

  #hashes(level: number, index: number): readonly Uint8Array[] {
    const tile = this.#widest.get(`${level} ${index}`);
    const bytes = tile === undefined ? null : readWhole(this.#source, tile.path, TILE_WIDTH * HASH_LENGTH);
    return bytes?.length === (tile?.width ?? 0) * HASH_LENGTH ? split(bytes) : [];
  }
}

/** The hashes of a tile. */
export function split(bytes: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: bytes.length / HASH_LENGTH }, (_, i) =>
    bytes.subarray(i * HASH_LENGTH, (i + 1) * HASH_LENGTH),
  );
}
