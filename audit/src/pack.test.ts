import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { cosign } from '@concordat/shared/log/note.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

import { audited } from './log-testing.ts';
import { openLog } from './open-log.ts';
import { packed } from './pack.ts';
import { folderLog, LOG_IDENTITY } from './page/testing.ts';
import { checkReceipt, receiptOf } from './receipt.ts';
import { Snapshot } from './snapshot.ts';

const witness = signingIdentity(generateSigningKey(), 'the witness');

const root = fs.mkdtempSync(join(tmpdir(), 'pack-'));
after(() => fs.rmSync(root, { recursive: true }));
const newFolder = (): string => fs.mkdtempSync(join(root, 'bundle-'));

async function bundle(path: string, bodies: boolean, out: string): Promise<Buffer> {
  const bytes = await buffer(packed(new Snapshot(path), { bodies }));
  fs.writeFileSync(out, bytes);
  return bytes;
}

function grown(size: number): ReturnType<typeof folderLog> {
  const made = folderLog();
  const items = Array.from({ length: size }, (_, i) => ({
    entry: { kind: 'decision', detail: { i } } as const,
    ...(i % 3 === 0 ? {} : { body: Buffer.from(`body ${i} `.repeat(20)) }),
  }));
  made.log.appendAll(items);
  return made;
}

test('a bundle of every size is as sound as the log, with bodies and without, and the same each time', async () => {
  for (const size of [1, 2, 255, 256, 257, 600]) {
    const { folder, log } = grown(size);
    const out = join(newFolder(), 'log.tar');
    for (const bodies of [true, false]) {
      const bytes = await bundle(folder, bodies, out);
      const { entries, findings, summary } = audited(openLog(out), new Map());
      assert.deepEqual(findings, [], `${size}`);
      assert.equal(entries.length, size);
      assert.deepEqual(summary.tree.root(), log.tree.root());
      for (const { entry, body } of entries) {
        const text = body instanceof Uint8Array ? Buffer.from(body).toString().slice(0, 8) : body;
        const due = bodies ? `body ${entry.n} `.repeat(2).slice(0, 8) : 'withheld';
        assert.equal(text, entry.body === undefined ? null : due);
      }
      // Of a bundle a bundle is made, and it is the same one.
      const again = await bundle(out, bodies, `${out}.again`);
      assert.ok(again.equals(bytes), `${size}`);
    }
  }
});

test('a bundle ends with the checkpoint that was read, whatever is written meanwhile, and whatever stands behind it', async () => {
  const { folder, log } = grown(300);
  const snapshot = new Snapshot(folder);
  for (let i = 0; i < 300; i++) log.append({ kind: 'decision' }, Buffer.from('later'));
  const out = join(newFolder(), 'log.tar');
  fs.writeFileSync(out, await buffer(packed(snapshot, { bodies: true })));
  const { entries, findings } = audited(openLog(out), new Map());
  assert.deepEqual(findings, []);
  assert.equal(entries.length, 300);
});

test('what was erased stays erased in a bundle', async () => {
  const { folder, log } = grown(10);
  log.erase(({ n }) => n === 4, 'term');
  const out = join(newFolder(), 'log.tar');
  const bytes = await bundle(folder, true, out);
  assert.ok(!bytes.includes('body 4 '));
  const { entries, findings } = audited(openLog(out), new Map());
  assert.deepEqual(findings, []);
  assert.equal(entries[4]!.body, 'erased');
});

test('a log that is not as it was signed is not handed on', () => {
  const { folder, log } = grown(10);
  log.close();
  const file = join(folder, 'tile/entries/000.open');
  const bytes = fs.readFileSync(file);
  bytes[40]! ^= 1;
  fs.writeFileSync(file, bytes);
  fs.rmSync(join(folder, 'tile/entries/000.p'), { recursive: true, force: true });
  assert.throws(
    () => new Snapshot(folder),
    (error) => error instanceof ConcordatError && error.code === 'log/corrupt',
  );
});

test('a receipt proves its entry and opens its body, against what a witness has cosigned where that counts it', () => {
  const { folder, log } = grown(20);
  const cosigned = cosign(log.note, 'concordat/coordinator', witness, 1_800_000_000);
  fs.mkdirSync(join(folder, 'cosigned'));
  fs.writeFileSync(join(folder, 'cosigned', encodeURIComponent('concordat/coordinator')), cosigned);
  log.append({ kind: 'stop' });
  const snapshot = new Snapshot(folder);
  for (const n of [0, 7, 19, 20]) {
    const { proof, leaf, body } = receiptOf(snapshot, n);
    const verdict = checkReceipt(proof, leaf, body, LOG_IDENTITY.publicKey)!;
    assert.deepEqual([verdict.index, verdict.signed, verdict.included, verdict.entry?.n], [n, true, true, n]);
    assert.equal(verdict.opened, n % 3 === 0 || n === 20 ? null : true);
    assert.equal(verdict.checkpoint.size, n === 20 ? 21 : 20);
    assert.deepEqual(verdict.others, n === 20 ? [] : ['concordat/coordinator']);
    const other = checkReceipt(proof, receiptOf(snapshot, n === 0 ? 1 : 0).leaf, body, witness.publicKey)!;
    assert.deepEqual([other.signed, other.included], [false, false]);
  }
  assert.equal(checkReceipt('nothing', new Uint8Array(0), null, LOG_IDENTITY.publicKey), null);
  assert.throws(() => receiptOf(snapshot, 21), /21 entries/);
});
