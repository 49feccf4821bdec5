import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256, toHex } from '../wire/digest.ts';
import { leafHash, MerkleTree, nodeHash } from './merkle.ts';

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

test('roots of sizes 0 to 8 are those of RFC 6962', () => {
  const tree = new MerkleTree();
  assert.equal(toHex(tree.root()), ROOTS[0]);
  LEAVES.forEach((leaf, i) => {
    tree.append(Buffer.from(leaf, 'hex'));
    assert.equal(tree.size, i + 1);
    assert.equal(toHex(tree.root()), ROOTS[i + 1]);
  });
});

test('every size has the root of the recursive definition', () => {
  const tree = new MerkleTree();
  const entries: Uint8Array[] = [];
  for (let n = 1; n <= 70; n++) {
    const entry = sha256(`entry ${n}`);
    entries.push(entry);
    tree.append(entry);
    assert.equal(toHex(tree.root()), toHex(recursiveRoot(entries)), `size ${n}`);
  }
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
