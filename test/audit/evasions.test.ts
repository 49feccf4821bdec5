/** What a party could leave out, put in or claim so that nobody looks: each is found, and the party that did it is named. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Party } from '@concordat/audit/keys.ts';
import type { Finding, FindingKind } from '@concordat/audit/finding.ts';
import type { Verdict } from '@concordat/audit/verify.ts';

import { Objection, Rule } from '@concordat/proto/concordat/v1/site.ts';
import { acknowledgementItem, divergenceItem } from '@concordat/shared/log/divergence.ts';
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

/** The log of B, in which one answer, or all, are refusals that tell a count. */
const telling =
  (chosen: (item: Item) => boolean): Edit =>
  (all) =>
    all.map((item) => {
      if (item.entry.kind !== 'sent' || !chosen(item)) return item;
      const body = reply(item.body!, run.identity('B'), (message) => {
        const value = {
          rule: Rule.RULE_PARTICIPANTS,
          threshold: 20,
          observed: 17,
          objection: Objection.OBJECTION_UNSPECIFIED,
        };
        message.payload = { $case: 'refusal', value };
      });
      return { entry: { ...item.entry, type: 'refusal' }, body };
    });

test('a site that tells counts by refusing, without an approval or after it left', () => {
  const alone = (edit: Edit): Verdict =>
    audited({ B: forge('B', edit(items['B']!), run.identity('B'), { remake: true }) }, { keys: run.keys });
  const unapproved = alone((all) =>
    telling(({ entry }) => entry.type === 'stageOneEstimate')(
      all.filter(({ entry }) => entry.kind !== 'approved'),
    ),
  );
  about(unapproved, 'B', 'approval', /answer about records under a run that was not approved/);
  const left = alone((all) => {
    const n = all.findLastIndex(({ entry }) => entry.type === 'objectiveValue');
    return telling(({ entry }) => entry.n === all[n]!.entry.n)([...all.toSpliced(n, 1), all[n]!]);
  });
  about(left, 'B', 'approval', /had left the run/);
});

/** The log of B without bodies, so that it names no key. */
function bare(): string {
  const folder = forge('B', items['B']!, run.identity('B'));
  fs.rmSync(join(folder, 'bodies'), { recursive: true });
  return folder;
}
const garbage = (length: number): string => Buffer.alloc(length, 7).toString('base64');

test('a note that nobody signed is no evidence of another history', () => {
  const folder = bare();
  fs.mkdirSync(join(folder, 'witness'));
  const head = `concordat/coordinator\n40\n${garbage(32)}\n`;
  const note = `${head}\n— concordat/coordinator ${garbage(68)}\n— concordat/site/B ${garbage(76)}\n`;
  fs.writeFileSync(join(folder, 'witness', encodeURIComponent('concordat/coordinator')), note);
  const beside = audited({ ...run.logs, B: folder });
  about(beside, 'B', 'signature', /does not have the signature of concordat\/coordinator/);
  assert.ok(
    beside.findings.every(({ kind }) => kind === 'signature'),
    told(beside).join('\n'),
  );
  // Where no log tells the keys, it is said that nobody checked.
  const alone = audited({ B: folder });
  assert.deepEqual(told(alone), []);
  assert.ok(alone.notes.some(({ message }) => /concordat\/coordinator was given.*not checked/.test(message)));
});

test('a checkpoint whose key another log tells', () => {
  const folder = bare();
  const honest = audited({ ...run.logs, B: folder });
  assert.deepEqual(told(honest), []);
  assert.ok(!honest.notes.some(({ message }) => message.includes('not checked')));
  const file = join(folder, 'checkpoint');
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/(— \S+) \S+/, `$1 ${garbage(68)}`));
  about(audited({ ...run.logs, B: folder }), 'B', 'signature', /signature of concordat\/site\/B/);
});

test('an acknowledged restore from a backup excuses what it lost, and not what stands before', () => {
  const all = items['B']!;
  const sent = all.findIndex(({ entry }) => entry.kind === 'sent' && entry.type === 'stageOneEstimate');
  const noteOf = (folder: string): string => fs.readFileSync(join(folder, 'checkpoint'), 'utf8');
  const verdictOf = (kept: Item[], remake: boolean): Verdict => {
    const B = forge('B', kept, run.identity('B'), { remake });
    const divergence = { kind: 'rollback', kept: noteOf(run.logs['B']!), shown: noteOf(B) } as const;
    const known = [divergenceItem(divergence, 'B'), acknowledgementItem(divergence, 'B', 'restored')].map(
      ({ entry, ...rest }): Item => ({
        ...rest,
        entry: { ...entry, n: 0, time: items['coordinator']!.at(-1)!.entry.time },
      }),
    );
    const log = forge('coordinator', [...items['coordinator']!, ...known], run.identity('coordinator'));
    return audited({ ...run.logs, B, coordinator: log }, { keys: run.keys, result });
  };
  const restored = all.slice(0, sent);
  assert.deepEqual(told(verdictOf(restored, false)), []);
  const start: Item = { entry: { ...all[0]!.entry, kind: 'start', time: all.at(-1)!.entry.time } };
  assert.deepEqual(told(verdictOf([...restored, start, start], false)), []);
  const body = estimateOf((estimates) => void (estimates[0]! += 0.25));
  const verdict = verdictOf(all.slice(0, -1).with(sent, { ...all[sent]!, body }), true);
  about(verdict, 'B', 'fork', /another history/);
  about(verdict, 'B', 'mutation', /another answer/);
});
