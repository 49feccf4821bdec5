/** What a peer may send and what may go wrong beside it, so that nothing is missed, held against the wrong side, or left for ever. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDivergences } from './divergence.ts';
import { cosign, cosignedAt, readCheckpoint } from './note.ts';
import { clock, code, exchange, files, pair } from './peer-log-testing.ts';

test('another history since what was shown within the second before is noticed, though it was not cosigned yet', () => {
  for (const ofSite of [true, false])
    for (const grown of [1, 3, 20]) {
      const { site, coordinator } = pair();
      const side = ofSite ? site : coordinator;
      exchange(site, coordinator);
      exchange(site, coordinator);
      const restore = side.backup();
      side.grow(4);
      assert.equal(exchange(site, coordinator, 100), 'together');
      assert.equal(exchange(site, coordinator, 100), 'together');
      restore();
      side.start();
      side.grow(grown);
      const standpoint = exchange(site, coordinator, 100);
      assert.ok(standpoint === 'rollback' || standpoint === 'split-view', standpoint);
      exchange(site, coordinator, 100);
      for (const { log, divergences, directory } of [site, coordinator]) {
        assert.deepEqual(
          divergences.map(([, of]) => of),
          [side.origin],
        );
        const [divergence] = openDivergences(fs, directory, log === site.log ? 'coordinator' : 'A');
        const other = ofSite ? coordinator : site;
        const evidence = readCheckpoint(divergence!.kept)!;
        assert.ok(cosignedAt(evidence, other.origin, other.identity.publicKey) !== null);
      }
      site.start();
      coordinator.start();
      assert.ok(site.peer.halted !== null && coordinator.peer.halted !== null);
    }
});

test('notes with other lines than those of the two sides are not taken, so that none is kept beside a log', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  exchange(site, coordinator);
  site.grow(3);
  const before = [coordinator.kept('witness'), coordinator.kept('cosigned')];
  const sound = site.peer.offer();
  const own = coordinator.log.note;
  const foreign = '— someone.else AAAAAAAAAAAA\n';
  const seen = (note: string): string =>
    cosign(note, site.origin, site.identity, Math.floor(clock.time / 1000));
  for (const change of [
    { checkpoint: sound.checkpoint + foreign },
    { checkpoint: cosign(sound.checkpoint, site.origin, site.identity, 1) },
    { kept: own + foreign },
    { kept: seen(own + foreign) },
    { kept: seen(seen(own)) },
    { kept: seen(own.slice(0, own.indexOf('\n\n') + 2)) },
  ])
    assert.throws(() => coordinator.peer.take({ ...sound, ...change }), code('wire/signature'));
  assert.deepEqual([coordinator.kept('witness'), coordinator.kept('cosigned')], before);
  assert.deepEqual(coordinator.divergences, []);
  assert.equal(exchange(site, coordinator), 'together');
});

test('a cosignature that is dated ahead is not kept, and said once; an older one does not take the place of a newer', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  exchange(site, coordinator);
  const old = coordinator.kept('cosigned');
  coordinator.grow(3);
  exchange(site, coordinator);
  exchange(site, coordinator);
  const newer = coordinator.kept('cosigned');
  assert.notEqual(newer, old);
  coordinator.peer.take({ ...site.peer.offer(), kept: old });
  assert.equal(coordinator.kept('cosigned'), newer);
  coordinator.grow(1);
  const seconds = Math.floor(clock.time / 1000);
  const dated = (ahead: number): string =>
    cosign(coordinator.log.note, site.origin, site.identity, seconds + ahead);
  for (const ahead of [301, 3600, 2 ** 45])
    assert.equal(coordinator.peer.take({ ...site.peer.offer(), kept: dated(ahead) }), 'together');
  assert.equal(coordinator.kept('cosigned'), newer);
  assert.deepEqual(coordinator.warnings, ['cosignature is dated ahead of this clock and not kept']);
  coordinator.peer.take({ ...site.peer.offer(), kept: dated(299) });
  assert.equal(coordinator.kept('cosigned'), dated(299));
});

test('however many histories are shown, one divergence is logged until it is acknowledged', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  exchange(site, coordinator);
  const restore = coordinator.backup();
  const heads = Array.from({ length: 120 }, () => {
    coordinator.grow();
    return cosign(coordinator.log.note, site.origin, site.identity, Math.floor(clock.time / 1000));
  });
  restore();
  coordinator.start();
  for (const kept of heads) coordinator.peer.take({ ...site.peer.offer(), kept });
  assert.equal(coordinator.divergences.length, 1);
  coordinator.acknowledge();
  assert.equal(exchange(site, coordinator), 'together');
});

test('an acknowledgement that would not be taken is refused, and one that cannot be used is told', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  const restore = site.backup();
  site.grow(4);
  exchange(site, coordinator);
  restore();
  site.start();
  exchange(site, coordinator);
  exchange(site, coordinator);
  assert.throws(() => coordinator.acknowledge('x'.repeat(2001)), code('usage/invalid'));
  const folder = join(coordinator.directory, 'acknowledgements');
  assert.ok(!fs.existsSync(folder));
  fs.mkdirSync(folder);
  fs.writeFileSync(join(folder, `${encodeURIComponent(site.origin)}.json`), '{');
  exchange(site, coordinator);
  exchange(site, coordinator);
  assert.deepEqual(coordinator.warnings, ['acknowledgement beside the log cannot be used']);
  coordinator.acknowledge('x'.repeat(2000));
  site.acknowledge();
  exchange(site, coordinator);
  assert.equal(exchange(site, coordinator), 'together');
});

test('an old copy was started by mistake, and the true log put back: acknowledged, the true one goes on', () => {
  for (const restarted of [false, true]) {
    const { site, coordinator } = pair();
    exchange(site, coordinator);
    exchange(site, coordinator);
    const old = site.backup();
    site.grow(10);
    exchange(site, coordinator);
    exchange(site, coordinator);
    site.stop();
    const truth = site.backup();
    old();
    site.start();
    assert.equal(exchange(site, coordinator), 'rollback');
    assert.equal(exchange(site, coordinator), 'rollback');
    site.stop();
    truth();
    site.start();
    if (restarted) {
      // Acknowledged before it is shown again.
      coordinator.stop();
      coordinator.acknowledge();
      coordinator.start();
    } else {
      assert.equal(exchange(site, coordinator), 'rollback');
      coordinator.acknowledge();
    }
    assert.equal(exchange(site, coordinator), 'together');
    site.grow(3);
    assert.equal(exchange(site, coordinator), 'together');
    assert.deepEqual([site.divergences.length, coordinator.divergences.length], [0, 1]);
  }
});

test('what an acknowledgement goes on from is on disk before it is logged', () => {
  const { site, coordinator } = pair();
  exchange(site, coordinator);
  const restore = site.backup();
  site.grow(4);
  exchange(site, coordinator);
  restore();
  site.start();
  exchange(site, coordinator);
  exchange(site, coordinator);
  site.acknowledge();
  coordinator.acknowledge();
  const flushed: unknown[] = [];
  const { writeFileSync } = files;
  files.writeFileSync = (...written: Parameters<typeof writeFileSync>) => {
    const options = written[2];
    if (String(written[0]).includes('witness') && typeof options === 'object' && options?.flush === true)
      flushed.push(coordinator.log.entries.some(({ type }) => type === 'acknowledgement'));
    writeFileSync(...written);
  };
  assert.equal(exchange(site, coordinator), 'together');
  files.writeFileSync = writeFileSync;
  assert.deepEqual(flushed, [false]);
});
