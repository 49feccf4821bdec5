import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KEY } from '@concordat/shared/agreement/testing.ts';

import { agreementTemplate } from '../agreement/template.ts';
import { newFolder } from '../testing.ts';
import { agreementCheck, agreementExplain, agreementStart } from './agreement.ts';

const NOW = new Date('2027-01-01T00:00:00Z');
const folder = newFolder();
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

file('A.csv', 'id,arm,Age at entry,y\n1,0,50,3\n');
file('map.yaml', 'map: 1\nstudy: A\nvariables: {age: {from: "Age at entry"}, weight: {from: Weight}}\n');
file(
  'plan.yaml',
  `plan: 1
id: p
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses: [{id: a, approach: two-stage, model: {family: gaussian}}]
`,
);
const config = file(
  'agent.yaml',
  `agent: 1
study: A
coordinator: coordinator.example:443
coordinator_key: "${KEY}"
tls: {ca: ca.crt, certificate: agent.crt, key: agent.key}
signing_key: signing.pem
data: A.csv
map: map.yaml
agreement: agreement.yaml
log: log
`,
);
const agreement = (change: (text: string) => string = (text) => text): string =>
  file(
    'agreement.yaml',
    change(
      agreementTemplate('A', [{ name: 'Ada', key: KEY }])
        .replace('until:', 'until: "2027-12-31"')
        .replace('variables: []', 'variables: [arm, age, weight]')
        .replace('outcomes: []', 'outcomes: [y]')
        .replace('families: []', 'families: [gaussian]'),
    ),
  );

test('a check holds the agreement against the header of the records, under the names that the map gives', async () => {
  const path = agreement();
  const lines = await agreementCheck({ config }, NOW);
  assert.equal(lines[0], `${path} is valid: Data-sharing agreement for A`);
  assert.match(lines[1]!, /^ {2}SHA-256 [0-9a-f]{64}$/);
  assert.deepEqual(
    lines.filter((line) => line.includes('`variables`')),
    [
      '  `variables`: the records have no column `weight`; check the spelling, or bring it in by the harmonisation map',
    ],
  );
});

test('a check of a file by itself needs no configuration, and says what it did not look at', async () => {
  const lines = await agreementCheck({ config: 'nowhere.yaml', file: agreement() }, NOW);
  assert.ok(lines.some((line) => line.includes('not held against the records')));
  assert.ok(!lines.some((line) => line.includes('`variables`')));
});

test('a check reads the templates beside the agreement, and refuses one that is no plan', async () => {
  const matching = (template: string) => (text: string) =>
    text
      .replace('approval: each-plan', 'approval: matching-template')
      .replace(/# templates: .*/, `templates: [${template}]`);
  agreement(matching('plan.yaml'));
  assert.ok((await agreementCheck({ config }, NOW)).every((line) => !line.includes('`templates`')));
  agreement(matching('map.yaml'));
  await assert.rejects(agreementCheck({ config }, NOW), { code: 'plan/schema' });
  agreement(matching('none.yaml'));
  await assert.rejects(agreementCheck({ config }, NOW), { code: 'config/invalid' });
});

test('every fault is told with its line', async () => {
  agreement((text) =>
    text.replace('until: "2027-12-31"', 'until: "2027-02-30"').replace('[gaussian]', '[lasso]'),
  );
  await assert.rejects(agreementCheck({ config }, NOW), {
    code: 'agreement/invalid',
    message: /agreement\.yaml:10 until: there is no such day[^]*yaml:35 families\[0\]: `lasso` is not one of/,
  });
});

test('explain and template', () => {
  agreement();
  assert.equal(agreementExplain({ config }, NOW)[0], 'Data-sharing agreement for A');
  assert.equal(agreementStart({ config }), agreementTemplate('A'));
  assert.equal(agreementStart({ config: 'nowhere.yaml', study: 'B' }), agreementTemplate('B'));
});
