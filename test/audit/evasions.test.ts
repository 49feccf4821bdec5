/** What a party could leave out, put in or claim so that nobody looks: each is found, and the party that did it is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Party } from '@concordat/audit/keys.ts';
import type { Finding, FindingKind } from '@concordat/audit/finding.ts';
import type { Verdict } from '@concordat/audit/verify.ts';

import { BINARY_PLAN } from '../end-to-end/trials.ts';
import { play } from '../mutations/played.ts';
import { forge, itemsOf, type Item } from './forge.ts';
import { audited, told } from './logs.ts';

const run = await play(BINARY_PLAN);
const result = { name: 'result.json', text: run.result };
const items = Object.fromEntries(Object.entries(run.logs).map(([party, folder]) => [party, itemsOf(folder)]));

type Edit = (items: readonly Item[]) => readonly Item[];

/** All logs, with those that their owners wrote again. */
function liedBy(edits: Readonly<Record<Party, Edit>>, remake = true): Verdict {
  const forged = Object.entries(edits).map(([party, edit]) => [
    party,
    forge(party, edit(items[party]!), run.identity(party), { remake }),
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
    const verdict = liedBy({ coordinator: (all) => [...all, more] }, false);
    assert.ok(verdict.findings.some(({ place }) => place.log === 'concordat/coordinator'));
    assert.ok(!blames(verdict, 'B'), told(verdict).join('\n'));
  }
});
