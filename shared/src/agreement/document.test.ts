import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '../disclosure/policy.ts';
import { ConcordatError } from '../errors.ts';

import { parseAgreement } from './document.ts';
import { agreementOf, KEY } from './testing.ts';

const OTHER = 'cd'.repeat(32);

/** Places and messages of all faults. */
function faults(over: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    agreementOf(over);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConcordatError);
    assert.equal(error.code, 'agreement/invalid');
    for (const { remedy } of error.faults) assert.notEqual(remedy, '');
    return error.faults.map(({ place, message }) => `${place.replace(/^\S+ /, '')}: ${message}`);
  }
}

test('thresholds that an agreement does not name keep the shipped value', () => {
  const { policy } = agreementOf({ disclosure: { participants: { minimum: 50 }, leverage: null } });
  assert.deepEqual(policy, {
    ...DEFAULT_POLICY,
    participants: { minimum: 50, per_arm: 5 },
    leverage: null,
  });
});

test('a last day that the calendar does not have is a fault', () => {
  assert.deepEqual(faults({ until: '2028-02-29' }), []);
  for (const until of ['2027-02-29', '2027-02-30', '2027-13-01', '2027-00-10', '0000-00-00'])
    assert.deepEqual(faults({ until }), ['until: there is no such day'], until);
});

test('who approves must be there, each once, under a key of their own', () => {
  assert.deepEqual(faults({ custodians: [] }), ['approval: no custodian is named who could approve']);
  assert.deepEqual(faults({ custodians: [], approval: 'each-release' }).length, 1);
  assert.deepEqual(faults({ approval: 'matching-template' }), [
    'approval: no template is given that a plan could match',
  ]);
  assert.deepEqual(faults({ approval: 'matching-template', templates: ['p.yaml'], custodians: [] }), []);
  const twice = [
    { name: 'Ada', key: KEY },
    { name: ' ada', key: OTHER },
    { name: 'Bo', key: KEY },
  ];
  const told = ['[1].name: ` ada` is named twice', '[2].key: this key is named twice'];
  assert.deepEqual(
    faults({ custodians: twice }),
    told.map((line) => `custodians${line}`),
  );
  assert.deepEqual(
    faults({ statisticians: twice }),
    told.map((line) => `statisticians${line}`),
  );
});

test('a list of statisticians without any is a fault: nobody could ask', () => {
  assert.deepEqual(faults({ statisticians: [] }), [
    'statisticians: the list is empty, so that nobody may ask',
  ]);
});

test('every fault is told at once, whatever shape the rest has', () => {
  assert.deepEqual(
    faults({ until: '2027-02-30', custodians: 'Ada', statisticians: [], families: ['lasso'] }).map((line) =>
      line.replace(/:.*/, ''),
    ),
    ['custodians', 'families[0]', 'until', 'statisticians'],
  );
  assert.throws(() => parseAgreement('until: [', 'a', { local: false }), { code: 'agreement/invalid' });
  assert.ok(faults({ until: 20271231 }).length > 0);
});

test('what only `concordat local` may do is refused elsewhere', () => {
  const automatic = JSON.stringify({
    agreement: 1,
    name: 'local',
    until: '9999-12-31',
    approval: 'automatic',
    variables: 'all',
    outcomes: 'all',
    families: 'all',
  });
  assert.equal(parseAgreement(automatic, 'a', { local: true }).approval, 'automatic');
  assert.throws(() => parseAgreement(automatic, 'a', { local: false }), { code: 'agreement/invalid' });
});
