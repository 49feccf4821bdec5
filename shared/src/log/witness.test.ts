import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Standing } from '@concordat/proto/concordat/v1/exchange.ts';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { MerkleTree, type TreeHead } from './merkle.ts';
import { checkWitness, divergenceFrom, judge, readStanding, standingOf } from './witness.ts';

function treeOf(entries: readonly string[]): MerkleTree {
  const tree = new MerkleTree();
  for (const entry of entries) tree.append(Buffer.from(entry));
  return tree;
}
const headOf = (tree: MerkleTree, size = tree.size): TreeHead => ({ size, root: tree.root(size) });
const entries = fc.array(fc.string(), { minLength: 1, maxLength: 40 });

test('a log that only grew is taken, from any size that was kept', () => {
  fc.assert(
    fc.property(entries, fc.nat(), fc.nat(), (all, a, b) => {
      const tree = treeOf(all);
      const [before, after] = [a % (all.length + 1), b % (all.length + 1)].toSorted((x, y) => x - y) as [
        number,
        number,
      ];
      const proof = tree.consistencyProof(before, after);
      assert.equal(judge(headOf(tree, before), headOf(tree, after), before, proof), 'extends');
      assert.equal(judge(null, headOf(tree, after), 0, []), 'extends');
      assert.equal(divergenceFrom(tree, headOf(tree, before)), null);
    }),
  );
});

test('one that is shorter, or another, is found out; by its witness and by its owner alike', () => {
  fc.assert(
    fc.property(entries, entries, fc.nat(), (all, others, at) => {
      const kept = treeOf(all);
      const common = at % all.length;
      const other = treeOf([...all.slice(0, common), ...others.map((entry) => `other ${entry}`)]);
      const proof = other.size < kept.size ? [] : other.consistencyProof(kept.size);
      const expected = other.size < kept.size ? 'rollback' : 'split-view';
      assert.equal(judge(headOf(kept), headOf(other), kept.size, proof), expected);
      assert.equal(divergenceFrom(other, headOf(kept)), expected);
    }),
  );
});

test('no proof but the right one is taken', () => {
  fc.assert(
    fc.property(entries, fc.nat(), fc.nat(), fc.nat(31), (all, a, which, byte) => {
      const tree = treeOf([...all, 'one more']);
      const kept = 1 + (a % all.length);
      const proof = tree.consistencyProof(kept).map((hash) => Uint8Array.from(hash));
      const changed = proof[which % Math.max(1, proof.length)];
      if (changed === undefined) proof.push(new Uint8Array(32));
      else changed[byte]! ^= 1;
      assert.equal(judge(headOf(tree, kept), headOf(tree), kept, proof), 'split-view');
    }),
  );
});

test('a request that was overtaken on its way is no rollback: it does not know of what was kept since', () => {
  const tree = treeOf(['a', 'b', 'c', 'd', 'e']);
  const kept = headOf(tree, 4);
  for (const size of [1, 2, 3, 5])
    assert.equal(judge(kept, headOf(tree, size), 1, tree.consistencyProof(1, size)), 'unproven');
  assert.equal(judge(kept, headOf(tree, 4), 1, tree.consistencyProof(1, 4)), 'extends');
});

test('standings as they travel; lengths are bounded', () => {
  for (const standing of ['unproven', 'rollback', 'split-view', null] as const)
    assert.equal(readStanding(standingOf(standing)), standing);
  const code = (expected: string) => (error: unknown) =>
    error instanceof ConcordatError && error.code === expected;
  assert.throws(() => readStanding(Standing.UNRECOGNIZED), code('wire/malformed'));
  assert.throws(() => checkWitness(undefined), code('wire/malformed'));
  const sound = {
    checkpoint: '',
    from: 0,
    proof: [],
    kept: '',
    standing: Standing.STANDING_UNSPECIFIED,
  };
  assert.equal(checkWitness(sound), sound);
  for (const unsound of [
    { checkpoint: 'x'.repeat(8193) },
    { kept: 'x'.repeat(8193) },
    { proof: [new Uint8Array(31)] },
    { proof: Array.from({ length: 65 }, () => new Uint8Array(32)) },
  ])
    assert.throws(() => checkWitness({ ...sound, ...unsound }), code('wire/length'));
});
