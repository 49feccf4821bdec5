import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import { SUM_LIMIT } from '../numerics/ring.ts';
import { startBound } from './entry.ts';
import { oneStageModels } from './registry.ts';
import { Replay, type ToldQuestion } from './replay.ts';
import { oneStageSpec } from './spec.ts';
import type { Ask, Entry, OneStageSpec, Program } from './types.ts';

const OUTCOMES = {
  binary: '{kind: binary, variable: died}',
  continuous: '{kind: continuous, variable: y}',
  repeated: '{kind: repeated, variable: y, subject: id, visit: visit, visits: [1, 2, 3]}',
  survival: '{kind: time-to-event, time: time, event: event}',
  count: '{kind: count, variable: visits}',
  ordinal: '{kind: ordinal, variable: grade, levels: [0, 1, 2]}',
} as const;

function specOf(outcome: keyof typeof OUTCOMES, model: string): OneStageSpec {
  const text = `plan: 1
id: replay
treatment: {variable: arm, control: 0, active: 1}
outcome: ${OUTCOMES[outcome]}
analyses:
  - {id: fit, approach: one-stage, model: ${model}}
`;
  const plan = expandPlan(parsePlan(text, 'the plan'));
  assert.equal(plan.analyses[0]!.unsupported, null);
  return oneStageSpec(plan, plan.analyses[0]!);
}

const SPECS: Readonly<Record<string, OneStageSpec>> = {
  'binomial, two random effects': specOf(
    'binary',
    '{family: binomial, adjust: [age], intercept: random, treatment_effect: random}',
  ),
  'binomial, Firth': specOf('binary', '{family: binomial, adjust: [age], penalty: firth}'),
  Poisson: specOf('count', '{family: poisson, adjust: [age]}'),
  ordinal: specOf('ordinal', '{family: ordinal, adjust: [age]}'),
  gaussian: specOf(
    'continuous',
    '{family: gaussian, adjust: [age], intercept: random, treatment_effect: random}',
  ),
  MMRM: specOf('repeated', '{family: gaussian}'),
  Cox: specOf('survival', '{family: cox, adjust: [age], treatment_effect: random}'),
};

function entryOf(spec: OneStageSpec): Entry {
  return {
    studies: 3,
    n: 300,
    scaling: {
      centre: new Float64Array(spec.columns),
      scale: new Float64Array(spec.columns).fill(1),
      intercept: spec.intercept,
    },
    start: new Float64Array(spec.terms.length),
    sd: new Float64Array(spec.random.length).fill(0.3),
  };
}

/** An answer that every optimiser can use: a concave quadratic where the answer is a log-likelihood, small numbers elsewhere. */
function answerTo({ theta, length }: Ask): Float64Array {
  const m = theta.length;
  if (length !== 1 + m + (m * (m + 1)) / 2) return Float64Array.from({ length }, (_, i) => 1 + i / 7);
  const out = new Float64Array(length);
  theta.forEach((value, j) => {
    out[0]! -= 50 * (value - 0.1) ** 2;
    out[1 + j] = -100 * (value - 0.1);
    out[1 + m + (j * (j + 1)) / 2 + j] = -100;
  });
  return out;
}

/** The questions of an honest coordinator, at most five of them, and what the program then says. */
function honest(
  spec: OneStageSpec,
  entry = entryOf(spec),
): { readonly told: ToldQuestion[]; readonly asks: Ask[] } {
  const program = oneStageModels[spec.kind].program(spec, entry);
  const [told, asks]: [ToldQuestion[], Ask[]] = [[], []];
  let sum = new Float64Array(0);
  for (let turn = program.next(); turn.done !== true && told.length < 5;) {
    const ask = turn.value;
    asks.push(ask);
    const { gather, ...question } = ask;
    told.push({ step: told.length + 1, ask: question, entry: told.length === 0 ? entry : null, sum });
    if (gather === 'each') break;
    sum = answerTo(ask) as Float64Array<ArrayBuffer>;
    turn = program.next([sum]);
  }
  return { told, asks };
}

for (const [name, spec] of Object.entries(SPECS)) {
  test(`${name}: what an honest coordinator asks is what the replay asks, bit for bit`, () => {
    const { told, asks } = honest(spec);
    assert.ok(told.length >= 1);
    const replay = new Replay(spec);
    told.forEach((question, i) => assert.deepEqual(replay.next(question), asks[i]));
    assert.deepEqual(replay.entry, entryOf(spec));
  });

  test(`${name}: any other question is refused, and then none of the analysis is taken`, () => {
    const { told, asks } = honest(spec);
    told.forEach((question, at) => {
      const { ask } = question;
      const others: readonly ToldQuestion['ask'][] = [
        ...(ask.theta.length > 0
          ? [
              { ...ask, theta: ask.theta.with(0, ask.theta[0]! + 1e-9) },
              { ...ask, theta: ask.theta.with(0, Number.NaN) },
              { ...ask, theta: ask.theta.slice(1) },
            ]
          : [{ ...ask, theta: Float64Array.of(0) }]),
        { ...ask, order: ask.order === 2 ? 1 : 2 },
        { ...ask, length: ask.length + 1 },
        { ...ask, objective: ask.objective === 'study-effects' ? 'log-likelihood' : 'study-effects' },
      ];
      for (const other of others) {
        const replay = new Replay(spec);
        told.slice(0, at).forEach((before, i) => assert.deepEqual(replay.next(before), asks[i]));
        assert.equal(replay.next({ ...question, ask: other }), 'another-question');
        assert.equal(replay.next(question), 'program-over');
      }
    });
  });

  test(`${name}: whatever sums are told, the replay answers with a question or a reason`, () => {
    const number = fc.oneof(
      fc.double({ min: -1e3, max: 1e3, noNaN: true }),
      fc.double({ min: -SUM_LIMIT, max: SUM_LIMIT, noNaN: true }),
      fc.constantFrom(0, SUM_LIMIT, -SUM_LIMIT, 1e-300),
      fc.constantFrom(1e300, Infinity, Number.NaN),
    );
    const sums = fc.array(number, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(sums, { minLength: 1, maxLength: 6 }), (numbers) => {
        const replay = new Replay(spec);
        const entry = entryOf(spec);
        const program = oneStageModels[spec.kind].program(spec, entry);
        let turn = program.next();
        let sum = new Float64Array(0);
        for (let step = 1; turn.done !== true; step++) {
          const { gather, ...ask } = turn.value;
          const next = replay.next({ step, ask, entry: step === 1 ? entry : null, sum });
          const told = numbers[step - 1];
          if (typeof next === 'string' || told === undefined || gather === 'each') return;
          sum = Float64Array.from({ length: ask.length }, (_, j) => told[j % told.length]!);
          if (!sum.every((value) => Math.abs(value) <= SUM_LIMIT)) {
            return assert.equal(typeof replay.next({ step: step + 1, ask, entry: null, sum }), 'string');
          }
          turn = advance(program, sum);
        }
      }),
      { numRuns: 40 },
    );
  });
}

/** As the coordinator does: what cannot be computed ends the fit. */
function advance(program: Program, sum: Float64Array): ReturnType<Program['next']> {
  try {
    return program.next([sum]);
  } catch (error) {
    assert.ok(error instanceof ConcordatError, String(error));
    return program.return(undefined as never);
  }
}

const spec = SPECS['binomial, two random effects']!;

test('a step that is skipped or asked again is refused, and the next honest one is not', () => {
  const { told, asks } = honest(spec);
  const replay = new Replay(spec);
  assert.equal(replay.next({ ...told[1]!, entry: told[0]!.entry }), 'step-out-of-order');
  assert.deepEqual(replay.next(told[0]!), asks[0]);
  assert.equal(replay.next(told[0]!), 'step-out-of-order');
  assert.equal(replay.next(told[2]!), 'step-out-of-order');
  assert.deepEqual(replay.next(told[1]!), asks[1]);
});

test('the sum of the answers before must be told, whole and in numbers; after answers of each study there is no next question', () => {
  const { told, asks } = honest(spec);
  const { sum } = told[1]!;
  for (const wrong of [new Float64Array(0), sum.slice(1), sum.with(0, Number.NaN), sum.with(1, 1e19)]) {
    const replay = new Replay(spec);
    assert.deepEqual(replay.next(told[0]!), asks[0]);
    assert.equal(replay.next({ ...told[1]!, sum: wrong }), 'sum-missing');
    assert.deepEqual(replay.next(told[1]!), asks[1]);
  }
});

test('another sum makes another question honest: the sum stands in the site’s log, and the question follows from it', () => {
  const entry = entryOf(spec);
  const { told, asks } = honest(spec);
  const altered = told[1]!.sum.map((value, j) => (j === 1 ? value + 25 : value));
  const program = oneStageModels[spec.kind].program(spec, entry);
  program.next();
  const { gather: _, ...crafted } = program.next([altered]).value as Ask;
  assert.notDeepEqual(crafted.theta, asks[1]!.theta);
  const consistent = new Replay(spec);
  consistent.next(told[0]!);
  assert.notEqual(typeof consistent.next({ ...told[1]!, ask: crafted, sum: altered }), 'string');
  const inconsistent = new Replay(spec);
  inconsistent.next(told[0]!);
  assert.equal(inconsistent.next({ ...told[1]!, ask: crafted }), 'another-question');
});

const IMPLAUSIBLE: Readonly<Record<string, (entry: Entry) => Entry>> = {
  'no studies': (entry) => ({ ...entry, studies: 0 }),
  'half a study': (entry) => ({ ...entry, studies: 1.5 }),
  'no participants': (entry) => ({ ...entry, n: 0 }),
  'participants without number': (entry) => ({ ...entry, n: Infinity }),
  'a scale of 0': (entry) => ({
    ...entry,
    scaling: { ...entry.scaling, scale: entry.scaling.scale.with(1, 0) },
  }),
  'a negative scale': (entry) => ({
    ...entry,
    scaling: { ...entry.scaling, scale: entry.scaling.scale.with(1, -1) },
  }),
  'a scale that is no number': (entry) => ({
    ...entry,
    scaling: { ...entry.scaling, scale: entry.scaling.scale.with(1, Number.NaN) },
  }),
  'a centre too few': (entry) => ({
    ...entry,
    scaling: { ...entry.scaling, centre: entry.scaling.centre.slice(1) },
  }),
  'an infinite centre': (entry) => ({
    ...entry,
    scaling: { ...entry.scaling, centre: entry.scaling.centre.with(1, Infinity) },
  }),
  'a start out of bounds': (entry) => ({ ...entry, start: entry.start.with(0, startBound(spec, 0) * 1.01) }),
  'a start out of bounds below': (entry) => ({
    ...entry,
    start: entry.start.with(0, -startBound(spec, 0) * 1.01),
  }),
  'a start that is no number': (entry) => ({ ...entry, start: entry.start.with(0, Number.NaN) }),
  'a start too many': (entry) => ({ ...entry, start: Float64Array.of(...entry.start, 0) }),
  'a negative deviation': (entry) => ({ ...entry, sd: entry.sd.with(0, -0.1) }),
  'an infinite deviation': (entry) => ({ ...entry, sd: entry.sd.with(0, Infinity) }),
  'a deviation too few': (entry) => ({ ...entry, sd: entry.sd.slice(1) }),
};
for (const [what, change] of Object.entries(IMPLAUSIBLE)) {
  test(`an entry with ${what} is implausible, with whatever question`, () => {
    const { told } = honest(spec);
    const entry = change(entryOf(spec));
    assert.equal(new Replay(spec).next({ ...told[0]!, entry }), 'entry-implausible');
  });
}

test('a site knows an entry without room for its own: too few participants, or a scale that makes a step of a covariate', () => {
  const { told } = honest(spec);
  const entry = entryOf(spec);
  const own = {
    participants: entry.n / 2,
    means: new Float64Array(spec.columns),
    deviations: entry.scaling.scale.slice(),
    own: null,
  };
  const next = (over: Partial<Entry>): unknown =>
    new Replay(spec, own).next({ ...told[0]!, entry: { ...entry, ...over } });
  assert.notEqual(typeof next({}), 'string');
  assert.equal(next({ n: own.participants - 1 }), 'entry-implausible');
  const scale = entry.scaling.scale.with(1, entry.scaling.scale[1]! / 4);
  assert.equal(next({ scaling: { ...entry.scaling, scale } }), 'entry-implausible');
  // Participants enough for the scale, and a start that makes the step.
  const minute = { ...entry.scaling, scale: entry.scaling.scale.with(1, entry.scaling.scale[1]! * 1e-6) };
  const start = entry.start.with(1, 1);
  assert.equal(next({ n: entry.n * 1e12, scaling: minute, start }), 'entry-implausible');
});

test('no entry, no question', () => {
  const { told } = honest(spec);
  assert.equal(new Replay(spec).next({ ...told[0]!, entry: null }), 'entry-missing');
});
