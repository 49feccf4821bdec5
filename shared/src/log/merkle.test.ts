import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256, toHex } from '../wire/digest.ts';
import { isConsistent, isIncluded, leafHash, MerkleTree, nodeHash, RunningRoot } from './merkle.ts';

/** The test vectors of Certificate Transparency's reference implementation (google/certificate-transparency, merkle_tree_test.cc). */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
/** The same file's audit paths: leaf (from 1), size, path. */
const PATHS: readonly (readonly [leaf: number, size: number, path: readonly string[]])[] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [3, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    2,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];
/** The same file's consistency proofs: from, to, proof. */
const PROOFS: readonly (readonly [from: number, to: number, proof: readonly string[]])[] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];

function vectorTree(): MerkleTree {
  const tree = new MerkleTree();
  for (const leaf of LEAVES) tree.append(Buffer.from(leaf, 'hex'));
  return tree;
}

test('roots, audit paths and consistency proofs are those of Certificate Transparency', () => {
  const tree = vectorTree();
  const running = new RunningRoot();
  ROOTS.forEach((root, size) => {
    assert.equal(toHex(tree.root(size)), root);
    assert.equal(toHex(running.root()), root);
    if (size < LEAVES.length) running.append(leafHash(Buffer.from(LEAVES[size]!, 'hex')));
  });
  for (const [leaf, size, path] of PATHS) {
    assert.deepEqual(tree.inclusionProof(leaf - 1, size).map(toHex), path);
    const head = { size, root: tree.root(size) };
    assert.ok(
      isIncluded(
        leafHash(Buffer.from(LEAVES[leaf - 1]!, 'hex')),
        leaf - 1,
        head,
        tree.inclusionProof(leaf - 1, size),
      ),
    );
  }
  for (const [from, to, proof] of PROOFS) assert.deepEqual(tree.consistencyProof(from, to).map(toHex), proof);
});

/** RFC 6962, section 2.1, word for word. */
function recursiveRoot(entries: readonly Uint8Array[]): Uint8Array {
  const [first] = entries;
  if (first === undefined) return sha256();
  if (entries.length === 1) return leafHash(first);
  let k = 1;
  while (2 * k < entries.length) k *= 2;
  return nodeHash(recursiveRoot(entries.slice(0, k)), recursiveRoot(entries.slice(k)));
}

const SIZE = 70;
const entries = Array.from({ length: SIZE }, (_, n) => sha256(`entry ${n}`));
const tree = new MerkleTree();
for (const entry of entries) tree.append(entry);
const head = (size: number) => ({ size, root: tree.root(size) });

test('every size has the root of the recursive definition', () => {
  for (let n = 0; n <= SIZE; n++)
    assert.equal(toHex(tree.root(n)), toHex(recursiveRoot(entries.slice(0, n))), `size ${n}`);
});

test('every proof proves its leaf in its tree, and nothing else', () => {
  for (let size = 1; size <= SIZE; size++)
    for (let i = 0; i < size; i++) {
      const proof = tree.inclusionProof(i, size);
      const leaf = leafHash(entries[i]!);
      assert.ok(isIncluded(leaf, i, head(size), proof));
      assert.ok(!isIncluded(leafHash(entries[(i + 1) % SIZE]!), i, head(size), proof));
      if (size > 1) assert.ok(!isIncluded(leaf, (i + 1) % size, head(size), proof));
      assert.ok(!isIncluded(leaf, i, head(size), [...proof, leaf]));
      assert.ok(!isIncluded(leaf, i, head(size), proof.slice(1)) || proof.length === 0);
    }
});

test('every consistency proof proves its two trees, and no others', () => {
  for (let to = 1; to <= SIZE; to++)
    for (let from = 0; from <= to; from++) {
      const proof = tree.consistencyProof(from, to);
      assert.ok(isConsistent(head(from), head(to), proof), `${from} ${to}`);
      const other = { size: from, root: sha256('another') };
      assert.ok(!isConsistent(other, head(to), proof));
      if (from > 0) assert.ok(!isConsistent(head(from), { size: to, root: sha256('another') }, proof));
      assert.ok(!isConsistent(head(from), head(to), [...proof, sha256('more')]));
      if (proof.length > 0) assert.ok(!isConsistent(head(from), head(to), proof.slice(1)));
    }
  assert.ok(!isConsistent(head(5), head(3), []));
});

test('whatever proof is given, another tree of any size is not consistent', () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(
      fc.nat(80),
      fc.nat(80),
      hash,
      hash,
      fc.array(hash, { maxLength: 8 }),
      (from, to, a, b, proof) => {
        fc.pre(from > 0 && from < to);
        return !isConsistent({ size: from, root: a }, { size: to, root: b }, proof);
      },
    ),
  );
});
