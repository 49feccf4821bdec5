import assert from 'node:assert/strict';
import { test } from 'node:test';

import { generateSigningKey, signingIdentity } from '../wire/signing.ts';
import { isIncluded, leafHash, MerkleTree } from './merkle.ts';
import { cosign, signCheckpoint } from './note.ts';
import { readProof, writeProof } from './proof.ts';

const identity = signingIdentity(generateSigningKey(), 'the key');
const tree = new MerkleTree();
for (let n = 0; n < 11; n++) tree.append(Buffer.from(`entry ${n}`));
const note = cosign(
  signCheckpoint({ origin: 'concordat/site/A', size: 11, root: tree.root() }, identity),
  'concordat/coordinator',
  identity,
  1_800_000_000,
);
const proof = (index: number): string => writeProof({ index, hashes: tree.inclusionProof(index), note });

test('a proof of each entry is read as it was written, and proves that entry alone', () => {
  for (let index = 0; index < 11; index++) {
    const read = readProof(proof(index));
    assert.ok(read);
    assert.equal(writeProof(read), proof(index));
    assert.equal(read.checkpoint.size, 11);
    for (let n = 0; n < 11; n++)
      assert.equal(
        isIncluded(leafHash(Buffer.from(`entry ${n}`)), read.index, read.checkpoint, read.hashes),
        n === index,
      );
  }
});

test('the lines are those of the specification', () => {
  const [first, index, ...rest] = proof(3).split('\n');
  assert.equal(first, 'c2sp.org/tlog-proof@v1');
  assert.equal(index, 'index 3');
  assert.deepEqual(
    rest.slice(0, 4),
    tree.inclusionProof(3).map((hash) => Buffer.from(hash).toString('base64')),
  );
  assert.equal(rest[4], '');
  assert.equal(rest.slice(5).join('\n'), note);
});

test('an extra line is passed over, as long as it is one', () => {
  const [first, ...rest] = proof(3).split('\n');
  const withExtra = (extra: string): string => [first, `extra ${extra}`, ...rest].join('\n');
  assert.deepEqual(readProof(withExtra('AAAA')), readProof(proof(3)));
  for (const extra of ['', 'AAA', 'AAAA ', '!', 'AB==', 'AAAA\nextra AAAA'])
    assert.equal(readProof(withExtra(extra)), null, extra);
});

test('of a single entry the proof has no hashes', () => {
  const single = new MerkleTree();
  single.append(Buffer.from('only'));
  const alone = signCheckpoint({ origin: 'concordat/site/A', size: 1, root: single.root() }, identity);
  const text = writeProof({ index: 0, hashes: [], note: alone });
  assert.equal(text, `c2sp.org/tlog-proof@v1\nindex 0\n\n${alone}`);
  assert.deepEqual(readProof(text)?.hashes, []);
});

test('nothing else is taken for a proof: no change of a character, and no part', () => {
  const text = proof(5);
  const own = (changed: string): boolean => {
    const read = readProof(changed);
    return read !== null && writeProof(read) !== changed;
  };
  for (let at = 0; at < text.length; at++) {
    for (const other of ['\n', ' ', '0', 'A', '\r', '']) {
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      assert.ok(!own(changed), `${JSON.stringify(other)} at ${at}`);
    }
    assert.equal(readProof(text.slice(0, at)) === null || text[at - 1] === '\n', true, `cut at ${at}`);
  }
  for (const changed of [
    `${text}\n`,
    ` ${text}`,
    text.replaceAll('\n', '\r\n'),
    text.replace('index 5', 'index 05'),
    text.replace('index 5', 'index -5'),
    text.replace('index 5', 'Index 5'),
    text.replace('index 5', 'index 5\nindex 5'),
    text.replace('@v1', '@v2'),
    text.replace('\n\n', '\n\n\n'),
    text.replace('index 5\n', `index 5\n${'A'.repeat(43)}=\n`.repeat(1) + `${'A'.repeat(43)}=\n`.repeat(63)),
  ])
    assert.equal(readProof(changed), null, JSON.stringify(changed.slice(0, 60)));
});
