/**
 * The tree over a log's entries, from two records of each leaf: the entry itself, and its hash in a tile. Where they differ, the tile above or the
 * root that was signed decides which of them is what was logged.
 */
import { HASH_LENGTH, MerkleTree, RunningRoot, type TreeHead } from '@concordat/shared/log/merkle.ts';
import { TILE_WIDTH } from '@concordat/shared/log/tiles.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

import { firstDifference, placesByHash, placesByNumber, type Bundle, type Difference } from './bundle.ts';
import type { Faults } from './faults.ts';
import type { TileRecords } from './tile-records.ts';

type Leaves = readonly Uint8Array[];

/** Whether a bundle may hold fewer than all its entries, and whether a process may have died while it added one. */
export type Growth = 'full' | 'short' | 'growing';

/** A bundle that its tile does not confirm as it lies. */
interface Doubt {
  readonly bundle: Bundle;
  readonly growth: Growth;
  /** What its leaves may have been: as the entries lie, as the tile has them, as the entries are numbered. */
  readonly candidates: readonly Leaves[];
  /** As the tile has them, if there is one. */
  readonly recorded: Leaves | null;
  /** By the tile above. */
  readonly decided: Leaves | null;
}

/** Stands for a leaf of which there is no record. */
const UNKNOWN = new Uint8Array(HASH_LENGTH);
const MOST_CANDIDATES = 4;

export class Evidence {
  #tree = new MerkleTree();
  readonly #records: TileRecords;
  readonly #doubts: Doubt[] = [];
  /** Places whose entries are not those that were logged, and bundles with such places. */
  readonly #damaged = new Set<number>();
  readonly #damagedBundles = new Set<number>();
  /** Leaves from the first on that a tile confirms. */
  #confirmed = 0;
  #proven = false;

  constructor(records: TileRecords) {
    this.#records = records;
  }

  get tree(): MerkleTree {
    return this.#tree;
  }

  /** Whether the tree has the root that was signed. */
  get proven(): boolean {
    return this.#proven;
  }

  /** Whether the entry, or one of its bundle, is not the one that was logged. */
  isDamaged(n: number, bundle: boolean): boolean {
    return bundle ? this.#damagedBundles.has(Math.floor(n / TILE_WIDTH)) : this.#damaged.has(n);
  }

  add(bundle: Bundle, growth: Growth): void {
    const { frames, first } = bundle;
    const index = first / TILE_WIDTH;
    const own = frames.map(({ leaf }) => leaf);
    const record = this.#records.leaves(index);
    const confirmed = record.length <= own.length && record.every((hash, i) => sameBytes(hash, own[i]!));
    if (confirmed && this.#confirmed === first) this.#confirmed += record.length;
    const fits = (leaves: Leaves): boolean =>
      leaves.length === TILE_WIDTH || (growth !== 'full' && leaves.length < TILE_WIDTH);
    const sound =
      frames.every(({ entry, lengthAltered }, i) => entry?.n === first + i && !lengthAltered) &&
      (growth === 'growing' || bundle.length === bundle.size);
    if (fits(own) && confirmed && sound) return this.#append(own);

    const rest = (byNumber(bundle, 1) ?? own).slice(record.length);
    const recorded = record.length > 0 && fits([...record, ...rest]) ? [...record, ...rest] : null;
    const candidates = [own, recorded, byNumber(bundle, 1), byNumber(bundle, -1)].filter(
      (leaves): leaves is Leaves => leaves !== null && fits(leaves),
    );
    const above = this.#records.above(index);
    const decided =
      candidates.find(
        (leaves) => above !== null && leaves.length === TILE_WIDTH && sameBytes(rootOf(leaves), above),
      ) ?? null;
    const doubt = { bundle, growth, recorded, candidates, decided };
    this.#doubts.push(doubt);
    this.#append(choose(doubt, 0));
  }

  /** A bundle that is not there, as is told already. */
  addMissing(index: number): void {
    this.#damagedBundles.add(index);
    this.#append(padded(this.#records.leaves(index)));
  }

  /** Takes of each bundle in doubt what gives the root that was signed. */
  settle(signed: TreeHead | null): void {
    for (let choice = 0; signed !== null && choice < MOST_CANDIDATES; choice++) {
      const tree = choice === 0 ? this.#tree : this.#rebuilt(choice);
      if (hasRoot(tree, signed)) {
        this.#tree = tree;
        this.#proven = true;
        return;
      }
      if (this.#doubts.length === 0) return;
    }
  }

  /** What is wrong with the bundles. */
  tell(faults: Faults): void {
    for (const doubt of this.#doubts) {
      const difference = this.#differenceOf(doubt);
      if (difference === null) continue;
      const { bundle, growth } = doubt;
      const { first, frames, length, path } = bundle;
      const { kind, at, message } = difference;
      this.#damagedBundles.add(first / TILE_WIDTH);
      this.#damaged.add(first + at);
      frames.forEach(({ leaf }, i) => {
        const n = first + i;
        if (n >= this.#tree.size || !sameBytes(leaf, this.#tree.hash(0, n))) this.#damaged.add(n);
      });
      const behind = at === frames.length && growth === 'full' && at === TILE_WIDTH;
      faults.find(
        kind,
        { file: path, byte: frames[at]?.start ?? length, ...(behind ? {} : { entry: first + at }) },
        message,
      );
    }
  }

  /** Where the tree does not have the root that was signed, and no bundle says why: what is known of where that comes from. */
  tellUnproven(
    signed: TreeHead,
    earlier: readonly TreeHead[],
    pathOf: (n: number) => string,
    faults: Faults,
  ): void {
    const right = earlier.filter((head) => head.size < signed.size && hasRoot(this.#tree, head));
    const proven = Math.max(0, ...right.map(({ size }) => size));
    const confirmed = this.#confirmed < signed.size ? this.#confirmed : 0;
    const from = Math.max(proven, confirmed, this.#records.firstMismatch(this.#tree) ?? 0);
    const suspect = faults.firstSuspect(from);
    const n = suspect !== null && suspect < signed.size ? suspect : from;
    this.#damaged.add(n);
    this.#damagedBundles.add(Math.floor(n / TILE_WIDTH));
    faults.find(
      'mutation',
      { file: pathOf(n), entry: n },
      `among entries ${from} to ${signed.size - 1} there is one that was not logged so: the root that was signed for ${signed.size} entries is another`,
    );
  }

  #append(leaves: Leaves): void {
    for (const leaf of leaves) this.#tree.appendLeaf(leaf);
  }

  #rebuilt(choice: number): MerkleTree {
    const tree = new MerkleTree();
    const doubts = new Map(this.#doubts.map((doubt) => [doubt.bundle.first, doubt]));
    // The last bundle may have lost all that it held.
    const end = Math.max(this.#tree.size, (this.#doubts.at(-1)?.bundle.first ?? 0) + 1);
    for (let first = 0; first < end; first += TILE_WIDTH) {
      const doubt = doubts.get(first);
      const last = Math.min(first + TILE_WIDTH, this.#tree.size);
      if (doubt !== undefined) for (const leaf of choose(doubt, choice)) tree.appendLeaf(leaf);
      else for (let n = first; n < last; n++) tree.appendLeaf(this.#tree.hash(0, n));
    }
    return tree;
  }

  #differenceOf({ bundle, growth, recorded, decided }: Doubt): Difference | null {
    const { frames, first, length, size } = bundle;
    const count = Math.max(0, Math.min(TILE_WIDTH, this.#tree.size - first));
    const truth = Array.from({ length: count }, (_, i) => this.#tree.hash(0, first + i));
    const against = (leaves: Leaves): Difference | null =>
      firstDifference(placesByHash(frames, leaves), leaves.length);
    const undecided = !this.#proven && decided === null;
    const altered = frames.findIndex(({ lengthAltered }) => lengthAltered);
    return (
      against(truth) ??
      (undecided && recorded !== null ? against(recorded) : null) ??
      firstDifference(placesByNumber(bundle), frames.length) ??
      (altered < 0
        ? null
        : { kind: 'mutation', at: altered, message: 'the length before the entry is not its own' }) ??
      (growth === 'growing' || length === size
        ? null
        : { kind: 'insertion', at: frames.length, message: 'there are bytes behind the last entry' })
    );
  }
}

export function hasRoot(tree: MerkleTree, { size, root }: TreeHead): boolean {
  return size <= tree.size && sameBytes(tree.root(size), root);
}

function choose({ bundle, growth, candidates, decided }: Doubt, choice: number): Leaves {
  const leaves = decided ?? candidates[choice] ?? candidates[0] ?? bundle.frames.map(({ leaf }) => leaf);
  return growth === 'full' ? padded(leaves) : leaves.slice(0, TILE_WIDTH);
}

function padded(leaves: Leaves): Leaves {
  return Array.from({ length: TILE_WIDTH }, (_, i) => leaves[i] ?? UNKNOWN);
}

function rootOf(leaves: Leaves): Uint8Array {
  const root = new RunningRoot();
  for (const leaf of leaves) root.append(leaf);
  return root.root();
}

/** The leaves in the order of their entries' numbers, the first (1) or last (-1) of those with the same; null where one is missing. */
function byNumber(bundle: Bundle, which: 1 | -1): Leaves | null {
  const leaves: Uint8Array[] = [];
  placesByNumber(bundle).forEach((place, i) => {
    if (place === null || place >= TILE_WIDTH) return;
    if (which === -1 || leaves[place] === undefined) leaves[place] = bundle.frames[i]!.leaf;
  });
  return leaves.length > 0 && !leaves.includes(undefined as never) ? leaves : null;
}
