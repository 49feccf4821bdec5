/** What a site's policy keeps back from a one-stage fit, and what the fit is then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { DEFAULT_POLICY, type Policy } from '@concordat/shared/disclosure/policy.ts';
import type { OneStageResult } from '@concordat/shared/plan/result-types.ts';
import { entriesOf } from './federation.ts';
import { InProcess } from './in-process.ts';
import { BINARY_PLAN, CONTINUOUS_PLAN, writeOneStageTrials } from './trials.ts';

const STUDIES = ['A', 'B', 'C'];
const data = writeOneStageTrials(STUDIES);

async function play(plan: string, over: Partial<Policy> = {}) {
  const federation = new InProcess({ plan, data, policy: { ...DEFAULT_POLICY, ...over } });
  const { analyses } = await federation.play();
  const sent = STUDIES.flatMap((study) =>
    entriesOf(federation.log(study)).flatMap(({ kind, message }) =>
      kind === 'sent' && message !== null ? [SiteMessage.decode(message.body)] : [],
    ),
  );
  return { analyses, sent };
}

function fitOf(analyses: Awaited<ReturnType<typeof play>>['analyses'], id: string): OneStageResult {
  const analysis = analyses[id]!;
  assert.ok(analysis.approach === 'one-stage');
  return analysis;
}

test('per-trial estimates are kept: no message has one, sums are given, and the fit is the same', async () => {
  const open = await play(BINARY_PLAN);
  const kept = await play(BINARY_PLAN, { per_trial_estimates: false });
  assert.equal(kept.analyses['effect']!.status, 'refused');
  assert.deepEqual(
    kept.analyses['effect']!.studies.map(({ reason }) => reason?.code),
    STUDIES.map(() => 'per-trial-estimates'),
  );
  for (const id of ['mixed', 'stratified']) {
    const [one, other] = [fitOf(open.analyses, id), fitOf(kept.analyses, id)];
    assert.equal(other.status, 'done', JSON.stringify(other));
    const common = one.coefficients.filter(({ term }) => !term.includes('['));
    for (const { term, estimate, se } of common) {
      const found = other.coefficients.find((coefficient) => coefficient.term === term)!;
      for (const [a, b] of [
        [found.estimate, estimate],
        [found.se, se],
      ] as const)
        assert.ok(Math.abs(a! - b!) <= 1e-6 * Math.max(1, Math.abs(b!)), `${id}, ${term}: ${a} and ${b}`);
    }
    assert.deepEqual(other.predicted, []);
  }
  assert.ok((fitOf(open.analyses, 'mixed').predicted ?? []).length > 0);
  assert.ok(!fitOf(kept.analyses, 'stratified').coefficients.some(({ term }) => term.includes('[')));
  for (const { payload } of kept.sent) {
    assert.notEqual(payload?.$case, 'stageOneEstimate');
    if (payload?.$case === 'oneStageEntry') {
      const { estimable, estimates, vcov } = payload.value;
      assert.deepEqual([estimable, estimates, vcov], [[], [], []]);
    }
  }
  const rules = new Set(
    kept.sent.flatMap(({ payload }) => (payload?.$case === 'refusal' ? [payload.value.rule] : [])),
  );
  assert.deepEqual([...rules], ['RULE_PER_TRIAL_ESTIMATES']);
});

test('per-trial estimates are kept: a gaussian fit needs each study’s sums, so every site refuses to enter', async () => {
  const { analyses, sent } = await play(CONTINUOUS_PLAN, { per_trial_estimates: false });
  const mixed = fitOf(analyses, 'mixed');
  assert.equal(mixed.status, 'refused');
  assert.deepEqual(
    mixed.studies.map(({ reason }) => reason?.code),
    STUDIES.map(() => 'per-trial-estimates'),
  );
  assert.ok(
    sent.every(({ payload }) => payload?.$case !== 'oneStageEntry' && payload?.$case !== 'objectiveValue'),
  );
});

test('a fit that takes more questions than the policy allows ends there, refused, with the rule; the shorter one is done', async () => {
  const { analyses } = await play(BINARY_PLAN, { evaluations: 4 });
  const mixed = fitOf(analyses, 'mixed');
  assert.equal(mixed.status, 'refused');
  assert.equal(mixed.reason?.code, 'site-lost');
  assert.match(mixed.reason.message, /more than 4 questions/);
  assert.deepEqual(mixed.coefficients, []);
  assert.equal(analyses['effect']!.status, 'done');
});
