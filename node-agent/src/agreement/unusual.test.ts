import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlan } from '@concordat/shared/plan/parse.ts';

import { agreementOf, KEY } from '@concordat/shared/agreement/testing.ts';
import { unusualIn, type Surroundings } from './unusual.ts';

const OTHER = 'cd'.repeat(32);
const USUAL = {
  statisticians: [{ name: 'S', key: OTHER }],
  variables: ['arm', 'age'],
  outcomes: ['y'],
  families: ['gaussian'],
};
const unusual = (
  over: Readonly<Record<string, unknown>> = {},
  around: Partial<Surroundings> = {},
): readonly string[] =>
  unusualIn(agreementOf({ ...USUAL, ...over }), {
    now: new Date('2027-06-01T00:00:00Z'),
    columns: ['arm', 'age', 'y', 'id'],
    templates: new Map(),
    ...around,
  });
const only = (lines: readonly string[], pattern: RegExp): void => {
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0]!, pattern);
};

test('an agreement that names who, what and until when is not unusual', () => {
  assert.deepEqual(unusual(), []);
  assert.deepEqual(unusual({}, { columns: null }), []);
});

test('an end that is near, or past', () => {
  only(unusual({}, { now: new Date('2027-12-02T00:00:00Z') }), /`until`: 30 days left/);
  assert.deepEqual(unusual({}, { now: new Date('2027-12-01T00:00:00Z') }), []);
  only(unusual({}, { now: new Date('2028-01-01T00:00:00Z') }), /expired on 2027-12-31, and nothing leaves/);
});

test('nobody named who may ask or approve, or one who may do both', () => {
  only(unusual({ statisticians: undefined }), /^`statisticians`: nobody is named/);
  only(unusual({ statisticians: [{ name: 'Ada', key: KEY }] }), /Ada may both ask and approve/);
  only(
    unusual({ approval: 'matching-template', templates: ['t.yaml'], custodians: [] }),
    /^`custodians`: nobody is named/,
  );
});

test('lists that allow everything, or nothing', () => {
  only(unusual({ variables: 'all' }), /^`variables`: `all` allows what/);
  only(unusual({ variables: 'all', outcomes: 'all', families: 'all' }), /may ask anything/);
  only(unusual({ families: [] }), /^`families`: the list is empty, so that every plan is refused/);
  only(unusual({ variables: [] }), /every plan with a treatment is refused/);
});

test('names that no column or no plan has', () => {
  only(
    unusual({ variables: ['arm', 'aeg', 'sexe'] }),
    /`variables`: the records have no column `aeg` or `sexe`/,
  );
  only(unusual({ variables: ['all'] }, { columns: null }), /write `variables: all`/);
  only(unusual({ outcomes: ['blood pressure'] }), /no plan can name `blood pressure`/);
});

test('each threshold that is looser than shipped, and none that is tighter', () => {
  const lines = unusual({ disclosure: { smallest_cell: 3, leverage: 0.2, levels: { maximum: null } } });
  assert.equal(lines.length, 2);
  assert.match(
    lines[0]!,
    /smallest_cell is looser than shipped \(in every table .* at least 3 participants\)/,
  );
  assert.match(lines[1]!, /levels.maximum is looser than shipped \(switched off/);
});

test('templates that do not count, or that ask for more than the agreement allows', () => {
  only(
    unusual({ templates: ['t.yaml'] }),
    /`templates`: they count with `approval: matching-template` alone/,
  );
  const plan = parsePlan(
    `plan: 1
id: p
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
analyses: [{id: a, approach: two-stage, model: {family: gaussian, adjust: [weight]}}]
`,
    't.yaml',
  );
  only(
    unusual(
      { approval: 'matching-template', templates: ['t.yaml'] },
      { templates: new Map([['t.yaml', plan]]) },
    ),
    /t.yaml asks for more than the agreement allows: `weight`/,
  );
});
