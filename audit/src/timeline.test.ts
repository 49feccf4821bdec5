import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { LogEntry } from '@concordat/shared/log/entry.ts';

import { timelinePage, timelinePicture } from './timeline-html.ts';
import { TimelineParts, type Timeline } from './timeline.ts';

const T0 = Date.UTC(2026, 0, 1);

/** A federation's logs: each site is asked `messages` times, and something stands out at each. */
function federation(sites: number, messages: number, central = true): Timeline {
  const parts = new TimelineParts();
  const logs = new Map<string, number>();
  const add = (log: string, ms: number, entry: Omit<LogEntry, 'n' | 'time'>): void => {
    const n = logs.get(log) ?? 0;
    logs.set(log, n + 1);
    if (central || log !== 'coordinator')
      parts.take(log, { n, time: new Date(T0 + ms).toISOString(), ...entry });
  };
  for (let i = 0; i < sites; i++) {
    const study = `SITE-${i + 1}`;
    add(study, 0, { kind: 'start' });
    for (let j = 0; j < messages; j++) {
      const [task, at] = [`${i}-${j}`, 1000 * j + 40 * i];
      const [asked, answered] =
        j === 0
          ? ['planOffer', 'planAccepted']
          : ['objectiveQuestion', j === 60 ? 'refusal' : 'objectiveValue'];
      add('coordinator', at, { kind: 'sent', peer: study, run: 'aa', round: j, task, type: asked });
      add(study, at + 90, { kind: 'received', peer: 'coordinator', run: 'aa', round: j, task, type: asked });
      if (j === 0) add(study, at + 110, { kind: 'approved', run: 'aa', task, detail: { mode: 'automatic' } });
      add(study, at + 300, { kind: 'sent', peer: 'coordinator', run: 'aa', round: j, task, type: answered });
      add('coordinator', at + 400, {
        kind: 'received',
        peer: study,
        run: 'aa',
        round: j,
        task,
        type: answered,
      });
    }
    if (i === 1) add(study, 70_500, { kind: 'start' });
    if (i === 2) add(study, 110_500, { kind: 'decision', type: 'divergence', peer: 'coordinator' });
    if (i === 0) add(study, 1000 * messages + 3_600_000, { kind: 'erased', detail: { reason: 'term' } });
  }
  return parts.timeline();
}

test('a message that both logs hold is one mark, at the site, and knows when the coordinator had it', () => {
  const { parties, marks } = federation(3, 5);
  assert.deepEqual(parties, ['coordinator', 'SITE-1', 'SITE-2', 'SITE-3']);
  const messages = marks.filter(({ way }) => way !== null);
  assert.equal(messages.length, 3 * 2 * 5);
  for (const { way, time, otherTime } of messages)
    assert.equal(otherTime! - time, way === 'question' ? -90 : 100);
});

test('one log alone is drawn too, whichever it is', () => {
  const sites = federation(3, 5, false);
  assert.equal(sites.marks.filter(({ otherTime }) => otherTime !== null).length, 0);
  const parts = new TimelineParts();
  parts.take('coordinator', {
    n: 0,
    time: '2026-01-01T00:00:00.000Z',
    kind: 'sent',
    peer: 'A',
    type: 'planOffer',
  });
  assert.deepEqual(parts.timeline().parties, ['coordinator', 'A']);
  assert.deepEqual(new TimelineParts().timeline().marks, []);
  assert.match(timelinePage(new TimelineParts().timeline()), /<svg/);
});

test('approvals, refusals, restarts, divergences and erasures are marked, and told in tables', () => {
  const timeline = federation(3, 200);
  const kinds = new Set(timeline.marks.map(({ kind }) => kind));
  for (const kind of ['approval', 'refusal', 'restart', 'divergence', 'erasure'] as const)
    assert.ok(kinds.has(kind));
  const page = timelinePage(timeline);
  assert.match(page, /Bodies were erased: term/);
  assert.match(page, /The other side shows another history of a log/);
});

test('fifty sites with two hundred messages each stay a picture of moderate size', () => {
  const timeline = federation(50, 200);
  const picture = timelinePicture(timeline);
  assert.ok(picture.length < 3_000_000, `${picture.length} bytes`);
  assert.ok(timelinePage(timeline).length < 3_200_000);
});

test('what others have written cannot become markup, and nothing is fetched', () => {
  const parts = new TimelineParts();
  const hostile = '"><script>alert(1)</script>';
  parts.take('coordinator', {
    n: 0,
    time: '2026-01-01T00:00:00.000Z',
    kind: 'sent',
    peer: hostile,
    type: hostile,
    analysis: hostile,
    run: hostile,
  });
  parts.take(hostile, {
    n: 0,
    time: '2026-01-01T00:00:01.000Z',
    kind: 'erased',
    detail: { reason: hostile },
  });
  parts.take(hostile, { n: 1, time: hostile, kind: 'stop' });
  const page = timelinePage(parts.timeline());
  assert.doesNotMatch(page, /<script|javascript:/);
  assert.doesNotMatch(page.replaceAll('http://www.w3.org/2000/svg', ''), /https?:|url\(|@import|src=/);
});
