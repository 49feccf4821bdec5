import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Witness } from '@concordat/proto/concordat/v1/exchange.ts';
import fc from 'fast-check';
import { generateSigningKey, signingIdentity } from '../wire/signing.ts';
import { openDivergences } from './divergence.ts';
import { COORDINATOR_ORIGIN, cosign, cosignedAt, isSigned, readCheckpoint, signCheckpoint } from './note.ts';
import { call, clock, code, exchange, pair, Side } from './peer-log-testing.ts';
import type { Standpoint } from './peer-log.ts';

test('each side keeps the other’s checkpoints with its own cosignature, and its own with the other’s', () => {
  const { site, coordinator } = pair();
  for (let i = 0; i < 5; i++) {
    assert.equal(exchange(site, coordinator), 'together');
    site.grow(i);
    coordinator.grow(3);
  }
  assert.equal(exchange(site, coordinator), 'together');
  assert.equal(exchange(site, coordinator), 'together');
  for (const [own, other] of [
    [site, coordinator],
    [coordinator, site],
  ] as const) {
    const read = (side: Side, folder: string, of: Side): ReturnType<typeof readCheckpoint> =>
      readCheckpoint(fs.readFileSync(join(side.directory, folder, encodeURIComponent(of.origin)), 'utf8'));
    for (const note of [read(own, 'witness', other), read(other, 'cosigned', own)]) {
      assert.ok(note !== null && isSigned(note, other.identity.publicKey));
      assert.equal(note.size, other.log.tree.size);
      assert.ok(cosignedAt(note, own.origin, own.identity.publicKey) !== null);
    }
  }
});

test('an answer that was lost: the proof is asked for again from what is kept', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  site.grow(4);
  assert.deepEqual(call(site, coordinator, true), ['together', null]);
  site.grow(4);
  assert.deepEqual(call(site, coordinator), ['unproven', 'unproven']);
  assert.deepEqual(call(site, coordinator), ['together', 'together']);
});

test('a request that was held up on its way and overtaken is not taken, and nothing is held against it', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  const late = site.peer.offer();
  site.grow(5);
  exchange(site, coordinator);
  assert.equal(coordinator.peer.take(late), 'unproven');
  assert.equal(coordinator.peer.halted, null);
  assert.equal(exchange(site, coordinator), 'together');
});

test('a site is restored from a backup: both sides notice, log it once, halt over restarts, and go on when both have acknowledged', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  site.grow(3);
  exchange(site, coordinator);
  site.stop();
  const restore = site.backup();
  site.start();
  site.grow(5);
  exchange(site, coordinator);
  site.stop();
  restore();
  site.start();
  assert.equal(exchange(site, coordinator), 'rollback');
  assert.equal(exchange(site, coordinator), 'rollback');
  const expected = [['rollback', site.origin]];
  assert.deepEqual([site.divergences, coordinator.divergences], [expected, expected]);
  coordinator.stop();
  coordinator.start();
  site.stop();
  site.start();
  assert.equal(coordinator.peer.halted, 'rollback');
  assert.equal(site.peer.halted, 'rollback');
  assert.equal(exchange(site, coordinator), 'rollback');
  assert.deepEqual([site.divergences, coordinator.divergences], [expected, expected]);

  assert.match(
    site.acknowledge('restored after a disk failed'),
    /log\/rollback, noticed .* of the log concordat\/site\/A/,
  );
  assert.equal(exchange(site, coordinator), 'rollback');
  assert.equal(site.peer.halted, null);
  assert.match(site.acknowledge(), /nothing is to be acknowledged/);
  assert.match(coordinator.acknowledge(), /acknowledged on this side/);
  assert.equal(exchange(site, coordinator), 'together');
  site.grow(20);
  coordinator.grow(20);
  site.stop();
  site.start();
  coordinator.stop();
  coordinator.start();
  assert.equal(exchange(site, coordinator), 'together');
  const entry = site.log.entries.find(({ type }) => type === 'acknowledgement')!;
  assert.equal(Buffer.from(site.log.body(entry as never)).toString(), 'restored after a disk failed');
  assert.deepEqual(openDivergences(fs, site.directory, 'coordinator'), []);
});

test('a backup that has grown past what was seen is a split view; the coordinator’s own log is watched as well', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  coordinator.stop();
  const restore = coordinator.backup();
  coordinator.start();
  coordinator.grow(2);
  exchange(site, coordinator);
  coordinator.stop();
  restore();
  coordinator.start();
  coordinator.grow(30);
  assert.equal(exchange(site, coordinator), 'split-view');
  const expected = [['split-view', COORDINATOR_ORIGIN]];
  assert.deepEqual([site.divergences, coordinator.divergences], [expected, expected]);
  coordinator.acknowledge();
  assert.equal(exchange(site, coordinator), 'split-view');
  site.acknowledge();
  assert.equal(exchange(site, coordinator), 'together');
  coordinator.grow(3);
  assert.equal(exchange(site, coordinator), 'together');
});

test('a coordinator that keeps two histories under its key is found out by the site that is shown both', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  const other = new Side('coordinator', COORDINATOR_ORIGIN);
  other.identity = coordinator.identity;
  fs.cpSync(coordinator.directory, other.directory, { recursive: true });
  other.start(site);
  other.grow(9);
  coordinator.grow(4);
  assert.equal(exchange(site, coordinator), 'together');
  // It knows what the site keeps, and says nothing of what it sees.
  const from = coordinator.log.tree.size;
  const shown: Witness = {
    checkpoint: other.log.note,
    from,
    proof: [...other.log.tree.consistencyProof(from)],
    kept: '',
    standing: 'STANDING_UNSPECIFIED',
  };
  assert.equal(site.peer.take(shown), 'split-view');
  assert.equal(site.peer.halted, 'split-view');
});

test('an acknowledgement of another divergence counts for nothing', () => {
  const { site, coordinator } = pair();
  site.grow(4);
  exchange(site, coordinator);
  const forged = { evidence: ['0'.repeat(64)], note: '' };
  const restore = site.backup();
  site.grow(4);
  exchange(site, coordinator);
  restore();
  site.start();
  assert.equal(exchange(site, coordinator), 'rollback');
  const folder = join(coordinator.directory, 'acknowledgements');
  for (const text of [JSON.stringify(forged), '{']) {
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(join(folder, `${encodeURIComponent(site.origin)}.json`), text);
    exchange(site, coordinator);
    assert.equal(coordinator.peer.halted, 'rollback');
  }
});

test('checkpoints that the log’s key has not signed, or of another log, and cosignatures of another are no evidence', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  const stranger = signingIdentity(generateSigningKey(), 'stranger');
  const sound = site.peer.offer();
  const head = { origin: site.origin, ...site.log.checkpoint() };
  const changes: readonly (readonly [Partial<Witness>, string])[] = [
    [{ checkpoint: '' }, 'wire/malformed'],
    [{ checkpoint: coordinator.log.note }, 'wire/malformed'],
    [{ kept: site.log.note }, 'wire/malformed'],
    [{ checkpoint: signCheckpoint({ ...head, root: new Uint8Array(32) }, stranger) }, 'wire/signature'],
    [{ kept: cosign(coordinator.log.note, site.origin, stranger, 1) }, 'wire/signature'],
    [
      {
        kept: cosign(
          signCheckpoint({ origin: COORDINATOR_ORIGIN, size: 99, root: new Uint8Array(32) }, stranger),
          site.origin,
          site.identity,
          1,
        ),
      },
      'wire/signature',
    ],
  ];
  for (const [change, expected] of changes)
    assert.throws(
      () => coordinator.peer.take({ ...sound, ...change }),
      code(expected),
      JSON.stringify(change),
    );
  assert.throws(() => coordinator.peer.take(undefined), code('wire/malformed'));
  assert.deepEqual(coordinator.divergences, []);
  assert.equal(exchange(site, coordinator), 'together');
});

test('a site that joined anew, with another key and an empty log, is met for the first time', () => {
  const { site, coordinator } = pair();
  site.grow(9);
  exchange(site, coordinator);
  const anew = new Side('A').start(coordinator);
  coordinator.stop();
  coordinator.start(anew);
  assert.equal(exchange(anew, coordinator), 'together');
});

/** What may happen to honest sides: each number is an event. */
const events = fc.array(fc.nat(9), { maxLength: 60 });

function happen(event: number, site: Side, coordinator: Side): Standpoint | null {
  const side = event % 2 === 0 ? site : coordinator;
  switch (Math.floor(event / 2)) {
    case 0:
      side.grow(1 + (event % 3));
      return null;
    case 1:
      return event % 2 === 0 ? exchange(site, coordinator) : (call(site, coordinator, true), null);
    case 2:
      // Killed, and started again.
      side.log.close();
      side.start();
      return null;
    case 3:
      // What is not flushed is lost with the power.
      for (const folder of ['witness', 'cosigned'])
        if (fs.existsSync(join(side.directory, folder)))
          for (const name of fs.readdirSync(join(side.directory, folder)))
            fs.writeFileSync(join(side.directory, folder, name), '');
      side.log.close();
      side.start();
      return null;
    default:
      // In quick succession: not all of them are cosigned.
      clock.time -= 1900;
      return exchange(site, coordinator);
  }
}

test('honest sides that are killed, cut off, and lose what was not flushed never see a divergence', () => {
  fc.assert(
    fc.property(events, (happened) => {
      const { site, coordinator } = pair();
      for (const event of happened) {
        const standpoint = happen(event, site, coordinator);
        assert.ok(standpoint === null || standpoint === 'together', `${standpoint}`);
      }
      assert.equal(exchange(site, coordinator), 'together');
      assert.deepEqual([site.divergences, coordinator.divergences], [[], []]);
    }),
    { numRuns: 60 },
  );
});

test('whatever happened before, a backup that is older than what the other side keeps is noticed at the next exchange', () => {
  fc.assert(
    fc.property(events, events, fc.boolean(), fc.nat(8), (before, since, ofSite, grown) => {
      const { site, coordinator } = pair();
      const side = ofSite ? site : coordinator;
      exchange(site, coordinator);
      for (const event of before) happen(event, site, coordinator);
      const restore = side.backup();
      // The other side's memory is whole.
      for (const event of since.filter((n) => Math.floor(n / 2) !== 3)) happen(event, site, coordinator);
      side.grow();
      exchange(site, coordinator);
      exchange(site, coordinator);
      restore();
      side.start();
      side.grow(grown);
      const standpoint = exchange(site, coordinator);
      assert.ok(standpoint === 'rollback' || standpoint === 'split-view', standpoint);
      // Where the owner was the first to notice, it says so at once.
      exchange(site, coordinator);
      for (const { divergences } of [site, coordinator])
        assert.deepEqual(
          divergences.map(([, log]) => log),
          [side.origin],
        );
      site.acknowledge();
      coordinator.acknowledge();
      assert.equal(exchange(site, coordinator), 'together');
    }),
    { numRuns: 60 },
  );
});
