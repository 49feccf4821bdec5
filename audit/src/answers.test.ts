import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { Diagnosis, Objection, Problem, Rule, type SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { releasableFields } from '@concordat/proto/releasable.ts';

import { payloadLines, payloadReading } from './answers.ts';
import { headerTable, numbersIn } from './tables.ts';

type Payload = NonNullable<SiteMessage['payload']>;

const HEADER: Header = {
  study: 'ALDER',
  run: new Uint8Array(16).fill(1),
  analysis: 'cvd',
  round: 3,
  planDigest: new Uint8Array(32).fill(2),
  rosterDigest: new Uint8Array(32).fill(3),
  attempt: 4,
  inReplyTo: new Uint8Array(32).fill(5),
  checkpoint: { size: 9, root: new Uint8Array(32).fill(6) },
};

const counts = {
  participants: [101, 102],
  events: [11, 12],
  notInPopulation: 21,
  otherTreatment: 22,
  missingTreatment: 23,
  missingOutcome: 24,
  missingCovariate: 25,
};
const TERMS = ['treatment', 'age', 'sex'];

/** One of each kind, every field set. */
const SAMPLES: readonly Payload[] = [
  { $case: 'planAccepted', value: { policyDigest: new Uint8Array(32).fill(7), openPolicy: true } },
  {
    $case: 'factorLevels',
    value: {
      variables: [
        {
          variable: 'region',
          levels: [{ code: { $case: 'number', value: 3 } }, { code: { $case: 'text', value: 'north' } }],
        },
      ],
    },
  },
  {
    $case: 'stageOneEstimate',
    value: {
      counts,
      estimable: [true, false, true],
      estimates: [-0.123456789012345, 0.25],
      vcov: [0.04, 0.001, 0.09],
      logLikelihoodNull: -700.5,
      logLikelihood: -690.25,
      residualVariance: 3.5,
      modifierMeans: [63.25],
      rounds: 6,
      badlyScaled: [2],
    },
  },
  {
    $case: 'stageOneFailure',
    value: { diagnosis: Diagnosis.DIAGNOSIS_NO_EVENTS_IN_ARM, terms: [1], counts },
  },
  {
    $case: 'oneStageEntry',
    value: {
      counts,
      means: [0.5, 64.5, 0.48],
      deviations: [0.51, 8.5, 0.499],
      estimable: [true, true, false],
      estimates: [-0.3, 0.02],
      vcov: [0.05, 0.002, 0.06],
      diagnosis: Diagnosis.DIAGNOSIS_SEPARATION,
    },
  },
  { $case: 'objectiveValue', value: { values: [-1234.5, 3.25, -0.5] } },
  {
    $case: 'refusal',
    value: {
      rule: Rule.RULE_PARTICIPANTS,
      threshold: 20,
      observed: 16,
      objection: Objection.OBJECTION_POPULATION,
    },
  },
  { $case: 'dataProblem', value: { problem: Problem.PROBLEM_MISSING_COLUMN } },
  { $case: 'runLeft', value: {} },
];

type Tree = Readonly<Record<string, unknown>>;
const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array);

/** Names of the message's fields that the generated table lists and the sample leaves out, at any depth. */
function unset(value: Tree, message: string): string[] {
  const fields = releasableFields[message];
  assert.ok(fields, `no message ${message}`);
  return Object.entries(fields).flatMap(([name, { message: inner, oneof }]) => {
    const found = Object.hasOwn(value, name) ? value[name] : oneofValue(value, name, oneof);
    const given = Array.isArray(found) ? (found as unknown[]) : found === undefined ? [] : [found];
    if (given.length === 0) return [`${message}.${name}`];
    return inner === undefined ? [] : unsetIn(given.filter(isTree), inner);
  });
}

/** Of several of one message, where a oneof takes one field at a time, a field may be set in any. */
function unsetIn(values: readonly Tree[], message: string): string[] {
  const each = values.map((value) => new Set(unset(value, message)));
  return [...(each[0] ?? [])].filter((name) => each.every((names) => names.has(name)));
}

function oneofValue(value: Tree, name: string, oneof: string | undefined): unknown {
  const chosen = oneof === undefined ? undefined : value[oneof];
  return isTree(chosen) && chosen['$case'] === name ? chosen['value'] : undefined;
}

/** Each code of an enumeration, and another of the same. */
const CODES = new Map(
  [Diagnosis, Objection, Problem, Rule].flatMap((codes) => {
    const values = Object.values<string>(codes);
    return values.map((value, i): [string, string] => [value, values[(i + 1) % values.length]!]);
  }),
);

/** The same with one leaf changed, for each leaf. */
function* changes(value: unknown, path = ''): Generator<readonly [string, unknown]> {
  if (typeof value === 'number') yield [path, value + 1];
  else if (typeof value === 'boolean') yield [path, !value];
  else if (typeof value === 'string') yield [path, CODES.get(value) ?? `${value}x`];
  else if (value instanceof Uint8Array) yield [path, value.map((byte) => byte + 1)];
  else if (isTree(value)) {
    for (const [name, inner] of Object.entries(value)) {
      if (name === '$case') continue;
      for (const [where, changed] of changes(inner, `${path}.${name}`)) {
        const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
        (copy as Record<string, unknown>)[name] = changed;
        yield [where, copy];
      }
    }
  }
}

test('there is a sample of every message that can leave, with every field set', () => {
  const message = { payload: SAMPLES[0], header: HEADER };
  const missing = SAMPLES.map((payload) => new Set(unset({ ...message, payload }, 'SiteMessage')));
  const never = [...missing[0]!].filter((name) => missing.every((names) => names.has(name)));
  assert.deepEqual(never, []);
  for (const [i, payload] of SAMPLES.entries()) {
    const other = [...missing[i]!].filter((name) => !name.startsWith('SiteMessage.'));
    assert.deepEqual(other, [], payload.$case);
  }
});

test('every field of every message that can leave is in the tables: none changes without a change in what is read', () => {
  for (const payload of SAMPLES) {
    const shown = JSON.stringify(payloadReading(payload, TERMS).tables);
    const printed = payloadLines(payload, TERMS).join('\n');
    for (const [path, changed] of changes(payload)) {
      assert.notEqual(JSON.stringify(payloadReading(changed as Payload, TERMS).tables), shown, path);
      assert.notEqual(payloadLines(changed as Payload, TERMS).join('\n'), printed, path);
    }
  }
  const shown = JSON.stringify(headerTable(HEADER));
  for (const [path, changed] of changes(HEADER)) {
    assert.notEqual(JSON.stringify(headerTable(changed as Header)), shown, path);
  }
});

test('numbers are shown in full, and counted', () => {
  const estimate = payloadReading(SAMPLES[2]!, TERMS);
  assert.match(JSON.stringify(estimate), /-0\.123456789012345\b/);
  // Counts 4 + 5, estimates 2, covariance 3, log-likelihoods and variance 3, mean 1, steps 1.
  assert.equal(numbersIn(estimate), 19);
  assert.equal(numbersIn(payloadReading(SAMPLES[5]!, [])), 3);
});

test('a term gets a name only where the plan gives one to every parameter', () => {
  const named = payloadLines(SAMPLES[2]!, TERMS).join('\n');
  assert.match(named, /sex/);
  const short = payloadLines(SAMPLES[2]!, ['treatment', 'age']).join('\n');
  assert.doesNotMatch(short, /treatment +yes/);
  assert.match(short, /parameter 3/);
});

test('standard errors are the roots of the variances of their own term', () => {
  const [estimates] = payloadReading(SAMPLES[2]!, TERMS).tables;
  assert.deepEqual(estimates?.rows, [
    ['treatment', 'yes', -0.123456789012345, '0.2'],
    ['age', 'no', null, null],
    ['sex', 'yes', 0.25, '0.3'],
  ]);
});

test('text of a plan or of the data cannot steer a terminal', () => {
  const levels: Payload = {
    $case: 'factorLevels',
    value: {
      variables: [
        { variable: 'a\u001b[2Jb\u202e', levels: [{ code: { $case: 'text', value: '\u001b]0;x\u0007' } }] },
      ],
    },
  };
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(payloadLines(levels, []).join('\n'), /[\u0000-\u0009\u000b-\u001f\u202e]/);
});

test('a reading for people: a sentence stands above each table', () => {
  for (const payload of SAMPLES) {
    const { sentence, tables } = payloadReading(payload, TERMS);
    for (const text of [sentence, ...tables.map((table) => table.sentence)]) {
      assert.match(text, /^[A-Z0-9].*\.$/);
    }
    for (const { columns, rows } of tables) {
      for (const row of rows) assert.equal(row.length, columns.length);
    }
  }
});
