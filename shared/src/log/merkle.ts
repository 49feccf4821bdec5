/**
 * Merkle tree hashing of RFC 6962, section 2.1, kept as the roots of the full subtrees on the right edge:
 * appending is O(log n), and so is the root.
 */
import { sha256 } from '../wire/digest.ts';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(LEAF, entry);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE, left, right);
}

export class MerkleTree {
  #size = 0;
  /** Roots of full subtrees, largest first; their sizes are the set bits of #size. */
  readonly #edge: Uint8Array[] = [];

  get size(): number {
    return this.#size;
  }

  append(entry: Uint8Array): void {
    let hash = leafHash(entry);
    for (let n = this.#size; n % 2 === 1; n = Math.floor(n / 2)) {
      const left = this.#edge.pop();
      if (left !== undefined) hash = nodeHash(left, hash);
    }
    this.#edge.push(hash);
    this.#size++;
  }

  /** Root of the tree as it stands; of the empty tree, the hash of nothing. */
  root(): Uint8Array {
    let root: Uint8Array | undefined;
    for (let i = this.#edge.length - 1; i >= 0; i--) {
      const left = this.#edge[i];
      if (left !== undefined) root = root === undefined ? left : nodeHash(left, root);
    }
    return root ?? sha256();
  }
}
