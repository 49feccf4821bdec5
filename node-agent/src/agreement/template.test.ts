import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';

import { parseAgreement, type Party } from '@concordat/shared/agreement/document.ts';
import { KEY } from '@concordat/shared/agreement/testing.ts';
import { addCustodian, agreementTemplate } from './template.ts';

const ADA: Party = { name: 'Ada', key: KEY };
const BO: Party = { name: 'Bo: "of, #1"', key: '12'.repeat(32) };
const read = (text: string) => parseAgreement(text, 'agreement.yaml', { local: false });
const filled = (text: string): string => text.replace('until:', 'until: "2027-12-31"');

test('a template is not valid before its last day is filled in and a custodian is named', () => {
  assert.throws(() => read(agreementTemplate('Trial A')), { code: 'agreement/invalid', message: /2 faults/ });
  assert.throws(() => read(agreementTemplate('Trial A', [ADA])), { message: /1 fault/ });
  assert.throws(() => read(filled(agreementTemplate('Trial A'))), { message: /no custodian/ });
});

test('filled in, it allows nothing, under the shipped rules', () => {
  for (const study of ['Trial A', 'a "quoted": # study\nof two lines', 'Ä']) {
    const agreement = read(filled(agreementTemplate(study, [ADA, BO])));
    assert.deepEqual(agreement.custodians, [ADA, BO]);
    assert.deepEqual([agreement.variables, agreement.outcomes, agreement.families], [[], [], []]);
    assert.equal(agreement.approval, 'each-plan');
    assert.equal(agreement.statisticians, null);
    assert.equal(agreement.tellCounts, false);
    assert.deepEqual(agreement.policy, DEFAULT_POLICY);
  }
});

test('its commented thresholds are all there are, with the shipped values', () => {
  const text = filled(agreementTemplate('Trial A', [ADA]));
  const at = text.indexOf('# disclosure:');
  const opened = text.slice(0, at) + text.slice(at).replaceAll(/^# /gm, '');
  assert.deepEqual(read(opened).policy, DEFAULT_POLICY);
  const keys = (value: object): string[] =>
    Object.entries(value).flatMap(([key, part]) =>
      typeof part === 'object' && part !== null ? [key, ...keys(part)] : [key],
    );
  const { policy: _version, name: _name, ...thresholds } = DEFAULT_POLICY;
  for (const key of keys(thresholds)) assert.match(opened.slice(at), new RegExp(`^ +${key}:`, 'm'));
});

test('a custodian is added and every other line stays as it was written', () => {
  const before = agreementTemplate('Trial A').split('\n');
  const after = addCustodian(addCustodian(before.join('\n'), ADA), BO).split('\n');
  assert.deepEqual(
    before.filter((line) => !after.includes(line)),
    ['custodians: []'],
  );
  assert.equal(after.length, before.length + 2);
});

test('custodians are added to lists of every spelling, and to an agreement that has none', () => {
  const rest =
    'agreement: 1 # first\nname: x\nuntil: "2027-12-31"\napproval: each-plan\nvariables: []\noutcomes: []\nfamilies: []\n';
  for (const spelling of [
    '',
    'custodians:\n',
    'custodians: []\n',
    `custodians: [{name: Bo, key: "${BO.key}"}]\n`,
    `custodians:\n  # the head of the trial unit\n  - name: Bo\n    key: "${BO.key}"\n`,
  ]) {
    const text = addCustodian(rest + spelling, ADA);
    assert.deepEqual(read(text).custodians.at(-1), ADA, spelling);
    assert.ok(text.includes('# first') && (!spelling.includes('#') || text.includes('# the head')));
  }
});

test('a custodian is not added twice, nor to what is no agreement', () => {
  const text = addCustodian(agreementTemplate('Trial A'), ADA);
  for (const party of [ADA, { ...BO, name: ADA.name }, { ...BO, key: ADA.key }])
    assert.throws(() => addCustodian(text, party), { code: 'agreement/invalid' });
  for (const broken of ['custodians: [', 'custodians: Ada\n', '- a list\n', ''])
    assert.throws(() => addCustodian(broken, ADA), { code: 'agreement/invalid' }, broken);
});
