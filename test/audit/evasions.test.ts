/** What a party could leave out, put in or claim so that nobody looks: each is found, and the party that did it is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Party } from '@concordat/audit/keys.ts';
import type { Finding, FindingKind } from '@concordat/audit/finding.ts';
import type { Verdict } from '@concordat/audit/verify.ts';

import { BINARY_PLAN } from '../end-to-end/trials.ts';
import { play } from '../mutations/played.ts';
import { forge, itemsOf, reply, type Item } from './forge.ts';
import { audited, told } from './logs.ts';

const run = await play(BINARY_PLAN);
const result = { name: 'result.json', text: run.result };
const items = Object.fromEntries(Object.entries(run.logs).map(([party, folder]) => [party, itemsOf(folder)]));

type Edit = (items: readonly Item[]) => readonly Item[];

/** All logs, with those that their owners wrote again. What the coordinator asked stays as it was: the sites have it. */
function liedBy(edits: Readonly<Record<Party, Edit>>): Verdict {
  const forged = Object.entries(edits).map(([party, edit]) => [
    party,
    forge(party, edit(items[party]!), run.identity(party), { remake: party !== 'coordinator' }),
  ]);
  return audited({ ...run.logs, ...Object.fromEntries(forged) }, { keys: run.keys, result });
}

function about(verdict: Verdict, party: Party, kind: FindingKind, words: RegExp): Finding {
  const origin = party === 'coordinator' ? 'concordat/coordinator' : `concordat/site/${party}`;
  const found = verdict.findings.find(
    (finding) => finding.kind === kind && finding.place.log === origin && words.test(finding.message),
  );
  assert.ok(found !== undefined, told(verdict).join('\n') || 'nothing was found');
  return found;
}

const blames = (verdict: Verdict, party: Party): boolean =>
  verdict.findings.some(({ place }) => place.log === `concordat/site/${party}`);

const bodiless = ({ entry }: Item): Item => ({ entry });
const isOf = ({ entry }: Item, kind: string, peer: Party, type: string): boolean =>
  entry.kind === kind && entry.peer === peer && entry.type === type;
const received = (type: string): Item =>
  items['coordinator']!.find((item) => isOf(item, 'received', 'B', type))!;

test('nothing is found in what was played', () => assert.deepEqual(told(liedBy({})), []));

test('a site that logs what it sends without what it says', () => {
  const verdict = liedBy({
    B: (all) =>
      all
        .filter(({ entry }) => entry.kind !== 'approved')
        .map((item) => (item.entry.kind === 'sent' ? bodiless(item) : item)),
  });
  about(verdict, 'B', 'malformed', /never given what it says/);
  assert.ok(verdict.logs.find(({ party }) => party === 'B')!.hidden > 0);
});

test('a coordinator that logs what it received without what it says', () => {
  const verdict = liedBy({
    coordinator: (all) =>
      all.map((item) => (isOf(item, 'received', 'B', 'stageOneEstimate') ? bodiless(item) : item)),
  });
  about(verdict, 'coordinator', 'malformed', /never given what it says/);
  assert.notEqual(verdict.runs[0]!.reproduced, true);
});

test('a coordinator that says a site has answered what it was never asked', () => {
  const { entry, body } = received('stageOneEstimate');
  const task = 'ab'.repeat(32);
  for (const more of [{ entry: { ...entry, task } }, { entry: { ...entry, task }, body: body! }]) {
    const verdict = liedBy({ coordinator: (all) => [...all, more] });
    assert.ok(verdict.findings.some(({ place }) => place.log === 'concordat/coordinator'));
    assert.ok(!blames(verdict, 'B'), told(verdict).join('\n'));
  }
});

/** The coordinator's log, in which B's estimate is not used. */
const refusing =
  (code: string, body?: Uint8Array): Edit =>
  (all) =>
    all.map((item) => {
      if (!isOf(item, 'received', 'B', 'stageOneEstimate')) return item;
      const { type: _type, analysis: _analysis, round: _round, ...rest } = item.entry;
      return { entry: { ...rest, kind: 'refused', detail: { code } }, body: body ?? item.body! };
    });

const estimateOf = (change: (estimates: number[]) => void): Uint8Array =>
  reply(received('stageOneEstimate').body!, run.identity('B'), ({ payload }) => {
    if (payload?.$case === 'stageOneEstimate') change(payload.value.estimates);
  });

test('a coordinator that calls a sound answer unusable, or late without having given up', () => {
  const invalid = liedBy({ coordinator: refusing('wire/length') });
  about(invalid, 'coordinator', 'omission', /sound answer of the site B was left out.*wire\/length/);
  assert.ok(!blames(invalid, 'B'), told(invalid).join('\n'));
  const late = liedBy({ coordinator: refusing('late') });
  about(late, 'coordinator', 'omission', /sound answer of the site B was left out.*given up/);
  assert.ok(!blames(late, 'B'), told(late).join('\n'));
});

test('an answer that could not be used is no finding against anybody but its site', () => {
  const body = estimateOf((estimates) => void estimates.push(1));
  const verdict = liedBy({
    coordinator: refusing('wire/length', body),
    B: (all) =>
      all.map((item) =>
        item.entry.task === received('stageOneEstimate').entry.task && item.entry.kind === 'sent'
          ? { ...item, body }
          : item,
      ),
  });
  assert.ok(
    !verdict.findings.some(({ message }) => /left out|none that/.test(message)),
    told(verdict).join('\n'),
  );
});

test('a site that logs another answer than the one that it sent, and that could not be used', () => {
  const verdict = liedBy({
    coordinator: refusing(
      'wire/length',
      estimateOf((estimates) => void estimates.push(1)),
    ),
  });
  about(verdict, 'B', 'mutation', /another answer here than the coordinator received/);
});

test('a coordinator that puts an answer into the mouth of a site', () => {
  const { entry, body } = received('stageOneEstimate');
  const forged = reply(body!, run.identity('coordinator'), () => undefined);
  const others = [body!, received('oneStageEntry').body!, forged, Buffer.from('no message')];
  for (const other of others)
    for (const code of ['conflict', 'wire/length']) {
      const more: Item = { entry: { ...entry, kind: 'refused', detail: { code } }, body: other };
      const verdict = liedBy({ coordinator: (all) => [...all, more] });
      about(verdict, 'coordinator', 'malformed', /none that the site B has signed|the answer that counts/);
      assert.ok(
        !verdict.findings.some(({ kind, message }) => kind === 'fork' && message.includes('two answers')),
      );
      assert.ok(!blames(verdict, 'B'), told(verdict).join('\n'));
    }
});
