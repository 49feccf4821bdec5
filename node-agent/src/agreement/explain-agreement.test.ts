import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agreementOf, KEY } from '@concordat/shared/agreement/testing.ts';
import { DEFAULT_POLICY, OPEN_POLICY } from '@concordat/shared/disclosure/policy.ts';

import { explainAgreement } from './explain-agreement.ts';
import { explainThresholds } from './thresholds.ts';

const NOW = new Date('2027-12-02T12:00:00Z');
const explained = (over: Readonly<Record<string, unknown>> = {}, now = NOW): string =>
  explainAgreement(agreementOf(over), now).join('\n');

test('every threshold of the policy has its sentence, on and off', () => {
  // Throws where a threshold has none.
  const shipped = explainThresholds(DEFAULT_POLICY);
  assert.ok(shipped.every(({ against, value, standard }) => against === 'default' && value === standard));
  assert.equal(new Set(shipped.map(({ sentence }) => sentence)).size, shipped.length);
  for (const { key, standard, sentence, value, against } of explainThresholds(OPEN_POLICY)) {
    if (value === standard) continue;
    assert.equal(against, 'looser', key);
    if (value === null) assert.match(sentence, /^switched off: /, key);
  }
});

test('a threshold is looser, tighter or as shipped, whichever way it counts', () => {
  const against = (disclosure: object): Record<string, string> =>
    Object.fromEntries(
      explainThresholds(agreementOf({ disclosure }).policy)
        .filter((threshold) => threshold.against !== 'default')
        .map((threshold) => [threshold.key, threshold.against]),
    );
  assert.deepEqual(
    against({
      participants: { minimum: 10, per_arm: 10 },
      parameters_per_participant: 0.2,
      leverage: 0.3,
      rank: false,
      evaluations: null,
      per_trial_estimates: false,
      shared_baseline: true,
      levels: { maximum: 10 },
    }),
    {
      'participants.minimum': 'looser',
      'participants.per_arm': 'tighter',
      parameters_per_participant: 'looser',
      leverage: 'tighter',
      rank: 'looser',
      evaluations: 'looser',
      per_trial_estimates: 'tighter',
      shared_baseline: 'looser',
      'levels.maximum': 'tighter',
    },
  );
});

test('what is looser is marked in its line, and gathered at the end', () => {
  const lines = explained({
    disclosure: { smallest_cell: null, leverage: 0.7, participants: { minimum: 30 } },
  });
  assert.match(lines, /^ {2}LOOSER: switched off: tables may hold a single person in a cell/m);
  assert.match(
    lines,
    /no results on fewer than 30 participants \(tighter: participants.minimum is 20 as shipped\)/,
  );
  assert.match(
    lines,
    /LOOSER than the shipped rules.*\n {2}smallest_cell: off instead of 5\n {2}leverage: 0.7 instead of 0.5$/,
  );
  assert.doesNotMatch(explained(), /LOOSER/);
});

test('until when, with the days left', () => {
  assert.match(explained(), /holds through 2027-12-31 \(UTC\): 30 days left, today included/);
  assert.match(explained({}, new Date('2027-12-31T23:00:00Z')), /: 1 day left/);
  assert.match(
    explained({}, new Date('2028-01-01T00:00:00Z')),
    /EXPIRED on 2027-12-31 \(UTC\): nothing leaves/,
  );
});

test('who may ask and who may approve, and how', () => {
  assert.match(explained(), /ask: whoever the coordinator speaks for/);
  assert.match(
    explained({ statisticians: [{ name: 'S', key: KEY }] }),
    /ask: S \(key abababab…\); a plan that none of them has signed is refused/,
  );
  assert.match(explained(), /approve and refuse here: A. Custodian/);
  assert.match(
    explained({ approval: 'each-release' }),
    /each answer waits until one of them has seen and released it/,
  );
  const matching = { approval: 'matching-template', templates: ['a.yaml', 'b.yaml'] };
  assert.match(explained(matching), /no more than 2 templates \(a.yaml or b.yaml\).*waits until/);
  assert.match(explained({ ...matching, custodians: [] }), /nobody is named.*\n.*any other is refused/);
});

test('what a plan may use, and what it may not', () => {
  const lines = explained({ outcomes: ['days', 'died'], variables: 'all', families: ['cox', 'rmst'] });
  assert.match(lines, /outcomes: days and died$/m);
  assert.match(lines, /variables beside the outcome: ALL/);
  assert.match(lines, /model families: cox and rmst; not gaussian, .* or royston-parmar$/m);
  assert.match(explained(), /outcomes: no outcome, so that every plan is refused/);
});

test('whether counts are told', () => {
  assert.match(explained(), /the count that fell short stays here/);
  assert.match(explained({ tell_counts: true }), /its threshold, and the count that fell short$/m);
});
