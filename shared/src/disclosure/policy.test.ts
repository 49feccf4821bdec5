import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { DEFAULT_POLICY, OPEN_POLICY, parsePolicy } from './policy.ts';

const shipped = (name: string): string =>
  readFileSync(new URL(`../../../node-agent/policies/${name}.yaml`, import.meta.url), 'utf8');

test('the shipped files hold the shipped policies', () => {
  assert.deepEqual(parsePolicy(shipped('default'), 'default.yaml'), DEFAULT_POLICY);
  assert.deepEqual(parsePolicy(shipped('open'), 'open.yaml'), OPEN_POLICY);
});

test('what a policy does not name keeps the shipped value', () => {
  const text =
    'policy: 1\nname: strict\nparticipants: {minimum: 50}\nleverage: null\nlevels: {release: false}\n';
  assert.deepEqual(parsePolicy(text, 'strict.yaml'), {
    ...DEFAULT_POLICY,
    name: 'strict',
    participants: { minimum: 50, per_arm: 5 },
    leverage: null,
    levels: { release: false, maximum: 50 },
  });
});

test('every fault is reported, with its line', () => {
  const text =
    'policy: 1\nname: x\nparticipant: {minimum: 50}\nleverage: 2\nsmallest_cell: 2.5\nrank: null\nlevels: {maximum: -1}\n';
  assert.throws(
    () => parsePolicy(text, 'p.yaml'),
    (error) => {
      assert.ok(error instanceof ConcordatError);
      assert.equal(error.code, 'policy/invalid');
      assert.deepEqual(
        error.faults.map((fault) => fault.place),
        [
          'p.yaml:3 participant',
          'p.yaml:4 leverage',
          'p.yaml:5 smallest_cell',
          'p.yaml:6 rank',
          'p.yaml:7 levels.maximum',
        ],
      );
      assert.equal(error.faults[0]!.remedy, 'did you mean `participants`?');
      return true;
    },
  );
});

test('a policy that is not YAML is invalid', () => {
  for (const text of ['', '[', 'policy: 1\npolicy: 1\nname: x\n', '- 1']) {
    assert.throws(
      () => parsePolicy(text, 'p.yaml'),
      (error) => error instanceof ConcordatError && error.code === 'policy/invalid',
    );
  }
});
