/**
 * Merkle trees of RFC 6962, section 2.1, with the proofs of 2.1.1 and 2.1.2 and the checks of RFC 9162, 2.1.3.2 and
 * 2.1.4.2. Hashes are SHA-256, 32 bytes; sizes and places are counted in leaves.
 */
import { sameBytes, sha256 } from '../wire/digest.ts';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
export const HASH_LENGTH = 32;
/** What is hashed for a node: its mark, left, right. Written over for each, because trees have as many nodes as leaves. */
const joined = new Uint8Array(1 + 2 * HASH_LENGTH);
joined.set(NODE);

export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(LEAF, entry);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  // A proof from elsewhere may hold what is no hash.
  if (left.length !== HASH_LENGTH || right.length !== HASH_LENGTH) return sha256(NODE, left, right);
  joined.set(left, 1);
  joined.set(right, 1 + HASH_LENGTH);
  return sha256(joined);
}

/** A root that grows: only the right edge is kept, so that memory is O(log n). */
export class RunningRoot {
  #size = 0;
  /** Roots of full subtrees, largest first; their sizes are the set bits of #size. */
  readonly #edge: Uint8Array[] = [];

  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    let hash = leaf;
    for (let n = this.#size; n % 2 === 1; n = Math.floor(n / 2)) {
      const left = this.#edge.pop();
      if (left !== undefined) hash = nodeHash(left, hash);
    }
    this.#edge.push(hash);
    this.#size++;
  }

  /** Root of the tree as it stands; of the empty tree, the hash of nothing. */
  root(): Uint8Array {
    return (
      this.#edge.reduceRight<Uint8Array | null>(
        (right, left) => (right === null ? left : nodeHash(left, right)),
        null,
      ) ?? sha256()
    );
  }
}

/** A tree that answers for every size it has had: 64 bytes a leaf. */
export class MerkleTree {
  /** Level k: the hashes of the full subtrees of 2^k leaves, in order. */
  readonly #levels: HashList[] = [new HashList()];
  /** The last proof of consistency: the coordinator's sites ask for the same one after the other. */
  #proof: { readonly from: number; readonly to: number; readonly hashes: readonly Uint8Array[] } | null =
    null;

  get size(): number {
    return this.#levels[0]!.length;
  }

  append(entry: Uint8Array): void {
    this.appendLeaf(leafHash(entry));
  }

  appendLeaf(leaf: Uint8Array): void {
    let hash = leaf;
    for (let level = 0; ; level++) {
      const row = (this.#levels[level] ??= new HashList());
      row.push(hash);
      if (row.length % 2 === 1) return;
      hash = nodeHash(row.view(row.length - 2), hash);
    }
  }

  /** The hash of the subtree over leaves index · 2^level … (index + 1) · 2^level − 1, which must be full. */
  hash(level: number, index: number): Uint8Array {
    const row = this.#levels[level];
    if (row === undefined || index >= row.length) throw new RangeError('no such subtree');
    return row.at(index);
  }

  root(size = this.size): Uint8Array {
    return size === 0 ? sha256() : this.#range(0, size);
  }

  /** PATH(index, D[size]): from the leaf's sibling up. */
  inclusionProof(index: number, size = this.size): readonly Uint8Array[] {
    if (index >= size || size > this.size) throw new RangeError('no such leaf');
    return this.#path(index, 0, size);
  }

  /** PROOF(from, D[to]), 0 < from ≤ to; empty where they are the same. */
  consistencyProof(from: number, to = this.size): readonly Uint8Array[] {
    if (from > to || to > this.size) throw new RangeError('no such tree');
    if (from === 0 || from === to) return [];
    if (this.#proof?.from !== from || this.#proof.to !== to)
      this.#proof = { from, to, hashes: this.#subproof(from, 0, to, true) };
    return this.#proof.hashes;
  }

  #path(index: number, start: number, end: number): readonly Uint8Array[] {
    if (end - start === 1) return [];
    const middle = start + split(end - start);
    return index < middle
      ? [...this.#path(index, start, middle), this.#range(middle, end)]
      : [...this.#path(index, middle, end), this.#range(start, middle)];
  }

  #subproof(from: number, start: number, end: number, whole: boolean): readonly Uint8Array[] {
    if (from === end) return whole ? [] : [this.#range(start, end)];
    const middle = start + split(end - start);
    return from <= middle
      ? [...this.#subproof(from, start, middle, whole), this.#range(middle, end)]
      : [...this.#subproof(from, middle, end, false), this.#range(start, middle)];
  }

  /** MTH(D[start:end]); `start` is a multiple of the smallest power of two that is not below the length. */
  #range(start: number, end: number): Uint8Array {
    const length = end - start;
    const level = Math.floor(Math.log2(length));
    if (2 ** level === length) return this.hash(level, start / length);
    const middle = start + split(length);
    return nodeHash(this.#range(start, middle), this.#range(middle, end));
  }
}

/** The largest power of two below n > 1. */
function split(n: number): number {
  let k = 1;
  while (2 * k < n) k *= 2;
  return k;
}

/** Whether the entry with this leaf hash is at `index` of the tree of `size` with this root. */
export function isIncluded(
  leaf: Uint8Array,
  index: number,
  { size, root }: { readonly size: number; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): boolean {
  if (index >= size) return false;
  let [node, last] = [index, size - 1];
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else hash = nodeHash(hash, sibling);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && sameBytes(hash, root);
}

export interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/** Whether the tree of `later` holds all of `earlier` in its first places. */
export function isConsistent(earlier: TreeHead, later: TreeHead, proof: readonly Uint8Array[]): boolean {
  if (earlier.size > later.size) return false;
  if (earlier.size === later.size) return proof.length === 0 && sameBytes(earlier.root, later.root);
  if (earlier.size === 0) return proof.length === 0 && sameBytes(earlier.root, sha256());
  const path = isPowerOfTwo(earlier.size) ? [earlier.root, ...proof] : [...proof];
  const first = path.shift();
  if (first === undefined) return false;
  let [node, last] = [earlier.size - 1, later.size - 1];
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  let [before, after] = [first, first];
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      before = nodeHash(sibling, before);
      after = nodeHash(sibling, after);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else after = nodeHash(after, sibling);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && sameBytes(before, earlier.root) && sameBytes(after, later.root);
}

const isPowerOfTwo = (n: number): boolean => n > 0 && split(n + 1) === n;

/** Hashes one after the other in one buffer. */
class HashList {
  #bytes = new Uint8Array(8 * HASH_LENGTH);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(hash: Uint8Array): void {
    const at = this.#length * HASH_LENGTH;
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(2 * at);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(hash, at);
    this.#length++;
  }

  at(index: number): Uint8Array {
    return this.view(index).slice();
  }

  /** Without a copy, so only until the next hash is added. */
  view(index: number): Uint8Array {
    return this.#bytes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH);
  }
}
