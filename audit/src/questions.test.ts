import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Objective, type CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';

import { questionReading } from './questions.ts';

type Question = NonNullable<CoordinatorMessage['payload']>;

const agreedLevels = [{ variable: 'region', levels: [{ code: { $case: 'text', value: 'north' } as const }] }];
/** One of each kind, every field set. */
const SAMPLES: readonly Question[] = [
  {
    $case: 'planOffer',
    value: {
      plan: 'plan: 1\nid: tiny\n',
      roster: { sites: [{ study: 'A', key: new Uint8Array(32).fill(1) }], minimumStudies: 2, masked: true },
      statistician: new Uint8Array(32).fill(2),
      signature: new Uint8Array(64).fill(3),
    },
  },
  { $case: 'factorLevelsQuestion', value: { variables: ['region'] } },
  { $case: 'stageOneQuestion', value: { agreedLevels } },
  { $case: 'entryQuestion', value: { agreedLevels } },
  {
    $case: 'objectiveQuestion',
    value: {
      agreedLevels,
      step: 3,
      objective: Objective.OBJECTIVE_LOG_LIKELIHOOD,
      theta: [0.5, -0.25],
      order: 2,
      length: 6,
      entry: {
        studies: 3,
        participants: 300,
        centre: [1.5],
        scale: [2.5],
        start: [0.125],
        deviations: [0.75],
      },
      sum: [-10.5],
    },
  },
  { $case: 'runClosed', value: {} },
];

/** The same with one leaf changed, for each leaf. */
function* changes(value: unknown, path = ''): Generator<readonly [string, unknown]> {
  if (typeof value === 'number') yield [path, value === 2 ? 1 : value + 1];
  else if (typeof value === 'boolean') yield [path, !value];
  else if (typeof value === 'string')
    yield [path, value.startsWith('OBJECTIVE_') ? Objective.OBJECTIVE_RISK_SETS : `${value}x`];
  else if (value instanceof Uint8Array) yield [path, value.map((byte) => byte + 1)];
  else if (typeof value === 'object' && value !== null)
    for (const [name, inner] of Object.entries(value)) {
      if (name === '$case') continue;
      for (const [where, changed] of changes(inner, `${path}.${name}`)) {
        const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
        (copy as Record<string, unknown>)[name] = changed;
        yield [where, copy];
      }
    }
}

test('every field of every question is in the tables: none changes without a change in what is read', () => {
  for (const question of SAMPLES) {
    const told = JSON.stringify(questionReading(question));
    for (const [path, changed] of changes(question))
      assert.notEqual(JSON.stringify(questionReading(changed as Question)), told, `${question.$case}${path}`);
    for (const { columns, rows } of questionReading(question).tables)
      for (const row of rows) assert.equal(row.length, columns.length);
  }
});
