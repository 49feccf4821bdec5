import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY, OPEN_POLICY } from './policy.ts';
import { tightestPolicy } from './tightest.ts';

test('of each rule the stricter one, whichever policy has it', () => {
  assert.deepEqual(tightestPolicy(DEFAULT_POLICY, OPEN_POLICY), DEFAULT_POLICY);
  assert.deepEqual(tightestPolicy(OPEN_POLICY, DEFAULT_POLICY), { ...DEFAULT_POLICY, name: 'open' });
  const strict = {
    ...DEFAULT_POLICY,
    participants: { minimum: 50, per_arm: 2 },
    leverage: 0.9,
    per_trial_estimates: false,
  };
  assert.deepEqual(tightestPolicy(DEFAULT_POLICY, strict), {
    ...DEFAULT_POLICY,
    participants: { minimum: 50, per_arm: 5 },
    per_trial_estimates: false,
  });
});
