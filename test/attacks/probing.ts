/**
 * **Asking at parameters of one's own choosing.** A logistic score at θ is Σ (yᵢ − pᵢ(θ))(1, xᵢ). With a steep slope b and threshold c,
 * pᵢ = logistic(b(xᵢ − c)) is 0 below c and 1 above it: S(c) = Σ yᵢ − #{xᵢ > c} and its x-part Σ yᵢxᵢ − Σ_{xᵢ > c} xᵢ are a selector, and
 * differences along c = c₁ < c₂ < … are the number of participants between two thresholds and the sum of their x: where one person is
 * between, that person's value.
 *
 * Three ways to the threshold:
 * *by asking* (stopped by the honest-question rule: the site's replay of the optimiser would not ask there);
 * *by the start*, which a site takes on trust within a bound: every run gives one answer at the place where it starts;
 * *by lying about sums*: the optimiser's next question is a function of the sums told, and of an invented sum (score g, information A)
 * Newton's step is A⁻¹g, whatever the attacker wants. What contradicts the sum is at the other sites.
 */
import { mock } from 'node:test';
import { combineEntries } from '@concordat/shared/one-stage/entry.ts';
import { evaluationLength } from '@concordat/shared/one-stage/maximise.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { Replay, type ToldQuestion } from '@concordat/shared/one-stage/replay.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, Entry, OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { objectiveQuestion, studyEntry } from '@concordat/shared/wire/one-stage.ts';
import { leastSquares, matches, none, random, type Attack, type Recovered } from './attack.ts';
import { one, planOf } from './plans.ts';
import { policyWith, Run, Site, type Loosened } from './site.ts';

const N = 40;
const FROM = 20;
const TO = 90;
const PLAN = planOf({
  outcome: '{kind: binary, variable: died}',
  analyses: {
    a: one('family: binomial, adjust: [x], intercept: random'),
  },
});

function records() {
  const next = random(23);
  const x = Array.from({ length: N }, () => Number((FROM + 5 + (TO - FROM - 10) * next()).toFixed(1)));
  const died = x.map(() => (next() < 0.4 ? 1 : 0));
  return { x, died };
}

const expanded = expandPlan(parsePlan(PLAN, 'the plan'), {});
const spec: OneStageSpec = oneStageSpec(expanded, expanded.analyses[0]!);

interface Score {
  readonly threshold: number;
  readonly count: number;
  readonly sum: number;
}

/** θ at which pᵢ = logistic(slope (xᵢ − threshold)), in the standardised column. */
function steep({ scaling }: Entry, slope: number, threshold: number): Float64Array {
  const [centre, scale] = [scaling.centre[1]!, scaling.scale[1]!];
  return Float64Array.of(slope * (centre - threshold), slope * scale);
}

/** The score by (intercept, x on its own scale); x = centre + scale·z. */
function scoreOf(values: readonly number[], { scaling }: Entry, threshold: number): Score {
  const [, byIntercept, byColumn] = values as [number, number, number];
  return {
    threshold,
    count: byIntercept,
    sum: scaling.centre[1]! * byIntercept + scaling.scale[1]! * byColumn,
  };
}

/** Values of x of whoever is alone between two thresholds. */
function alone(scores: readonly Score[], truth: readonly number[]): Recovered {
  const found: number[] = [];
  const sorted = scores.toSorted((a, b) => a.threshold - b.threshold);
  for (let k = 1; k < sorted.length; k++) {
    const [low, high] = [sorted[k - 1]!, sorted[k]!];
    // Of the scores' difference: Σ (p(low) − p(high)), 1 for each participant between.
    const count = high.count - low.count;
    if (Math.abs(count - 1) < 0.02) found.push((high.sum - low.sum) / count);
  }
  const left = [...truth];
  let recovered = 0;
  for (const value of found) {
    const at = left.findIndex((x) => Math.abs(x - value) < 0.3);
    if (at < 0) continue;
    left.splice(at, 1);
    recovered++;
  }
  return { recovered, of: truth.length };
}

async function enter(site: Site): Promise<{ readonly run: Run; readonly entry: Entry } | null> {
  const run = await Run.open(site, PLAN);
  const entered = await run?.enter('a');
  if (run === null || entered?.$case !== 'oneStageEntry') return null;
  const own = studyEntry(entered.value);
  // No random effect to begin with: the marginal log-likelihood is the plain one.
  return { run, entry: { ...combineEntries(spec, [own, own]), sd: new Float64Array(1) } };
}

const askAt = (theta: Float64Array): Ask => ({
  objective: 'log-likelihood',
  theta,
  order: 2,
  length: evaluationLength(theta.length),
  gather: 'sum',
});

/** Between any two of the thresholds, the step is this share of a unit of x. */
const STEP = 0.5;

/** Every run is asked one question, where it starts. */
async function byStart(loosened: Loosened, steepness: number): Promise<Recovered> {
  const { x, died } = records();
  const site = new Site({ x, died }, { policy: policyWith(loosened) });
  const scores: Score[] = [];
  let slope = 0;
  for (let threshold = FROM; threshold <= TO; threshold += STEP) {
    const opened = await enter(site);
    if (opened === null) continue;
    const entry = atStart(opened.entry, steepness, threshold);
    slope = entry.start[1]! / entry.scaling.scale[1]!;
    const first = oneStageModels[spec.kind].program(spec, entry).next().value as Ask;
    const told = await opened.run.question('a', objectiveQuestion(first, 1, entry, new Float64Array(0), []));
    if (told?.$case === 'objectiveValue') scores.push(scoreOf(told.value.values, entry, threshold));
  }
  await site.stop();
  return deconvolved(scores, slope, x);
}

/** The steepest start that a site takes: the intercept's bound is 50, a coefficient's 20. */
function atStart(entry: Entry, steepness: number, threshold: number): Entry {
  const [intercept, slope] = steep(entry, steepness / entry.scaling.scale[1]!, threshold);
  return { ...entry, start: Float64Array.of(intercept!, slope!) };
}

/**
 * Where the step is wider than the distance between participants: N(c) = Σ logistic(s(xᵢ − c)) is told to the last digits of a double at
 * many c, and solved for all xᵢ at once by Gauss–Newton, from the quantiles of N itself.
 */
function deconvolved(scores: readonly Score[], slope: number, truth: readonly number[]): Recovered {
  const n = truth.length;
  if (scores.length === 0) return none(n);
  const events = scores.at(-1)!.count;
  const curve = scores.map(({ threshold, count }) => ({ threshold, above: events - count }));
  let x = Array.from({ length: n }, (_, i) => {
    const k = curve.findIndex(({ above }) => above < n - i - 0.5);
    return curve[k < 0 ? curve.length - 1 : k]!.threshold + (i / n) * STEP;
  });
  const weigh = (xi: number, c: number): number => 1 / (1 + Math.exp(-slope * (xi - c)));
  for (let round = 0; round < 60; round++) {
    const rows = curve.map(({ threshold }) =>
      x.map((xi) => slope * weigh(xi, threshold) * (1 - weigh(xi, threshold))),
    );
    const rest = curve.map(
      ({ threshold, above }) => above - x.reduce((sum, xi) => sum + weigh(xi, threshold), 0),
    );
    // A little damping to begin with, for those who start at one place.
    const damping = 10 ** -(1 + round / 3);
    const damped = x.map((_, i) => x.map((__, j) => (i === j ? damping : 0)));
    const step = leastSquares([...rows, ...damped], [...rest, ...x.map(() => 0)]);
    if (step === null) break;
    x = x.map((xi, i) => xi + Math.max(-1, Math.min(1, step[i]!))).toSorted((a, b) => a - b);
  }
  return matches(
    x,
    truth.toSorted((a, b) => a - b),
    0.05,
  );
}

/**
 * One run: it starts at a steep slope, and every sum told makes the trust region's step move the intercept, and so the threshold, on by
 * the same length: A = I, g = the step, and a value that rises as the quadratic model promises.
 */
async function byLying(loosened: Loosened, steepness: number): Promise<Recovered> {
  const { x, died } = records();
  const site = new Site({ x, died }, { policy: policyWith(loosened) });
  const opened = await enter(site);
  const scores: Score[] = [];
  let slope = 0;
  if (opened !== null) {
    const entry = atStart(opened.entry, steepness, FROM);
    slope = entry.start[1]! / entry.scaling.scale[1]!;
    const move = Float64Array.of((-slope * (TO - FROM)) / 59, 0, 0);
    const program = oneStageModels[spec.kind].program(spec, entry);
    let sum = new Float64Array(0);
    let turn = program.next();
    for (let step = 1; step <= 60 && turn.done !== true; step++) {
      const question = objectiveQuestion(turn.value, step, step === 1 ? entry : null, sum, []);
      const told = await opened.run.question('a', question);
      if (told?.$case !== 'objectiveValue') break;
      const threshold = entry.scaling.centre[1]! - turn.value.theta[0]! / slope;
      scores.push(scoreOf(told.value.values, entry, threshold));
      sum = Float64Array.of(-1000 + (step * move[0]! ** 2) / 2, ...move, -1, 0, -1, 0, 0, -1);
      turn = program.next([sum]);
    }
  }
  await site.stop();
  return deconvolved(scores, slope, x);
}

/** One run, asked again and again at the attacker's own parameters. */
async function byAsking(accept: boolean, loosened: Loosened): Promise<Recovered> {
  const { x, died } = records();
  const site = new Site({ x, died }, { policy: policyWith(loosened) });
  const replaced = accept ? withoutReplay() : null;
  const scores: Score[] = [];
  const opened = await enter(site);
  if (opened !== null) {
    const { run, entry } = opened;
    const start = entry.start;
    for (let step = 1; step <= 60; step++) {
      const threshold = FROM + ((TO - FROM) * step) / 60;
      const theta = Float64Array.of(...steep(entry, 20, threshold), 0);
      const question = objectiveQuestion(
        askAt(theta),
        step,
        step === 1 ? { ...entry, start } : null,
        new Float64Array(0),
        [],
      );
      const told = await run.question('a', question);
      if (told?.$case === 'objectiveValue') scores.push(scoreOf(told.value.values, entry, threshold));
    }
  }
  replaced?.();
  await site.stop();
  return alone(scores, x);
}

/** The rule switched off: whatever is asked is taken for the optimiser's question. */
function withoutReplay(): () => void {
  let entry: Entry | null = null;
  const next = mock.method(Replay.prototype, 'next', (told: ToldQuestion): Ask => {
    entry ??= told.entry;
    return { ...told.ask, gather: 'sum' };
  });
  const getter = mock.getter(Replay.prototype, 'entry', () => entry);
  return () => {
    next.mock.restore();
    getter.mock.restore();
  };
}

/** The best of several steepnesses, in standard deviations of x: the less steep, the more participants an answer is divided among. */
async function best(attack: (steepness: number) => Promise<Recovered>): Promise<Recovered> {
  const results: Recovered[] = [];
  for (const steepness of [18, 6, 3, 2]) results.push(await attack(steepness));
  return results.reduce((a, b) => (b.recovered > a.recovered ? b : a));
}

const OFF: Loosened = { participants: { minimum: null } };

export const attacks: readonly Attack[] = [
  {
    name: 'parameters of the attacker’s choice, by asking',
    rule: 'honest question (replay), `participants.minimum` (at parameters)',
    off: () => byAsking(true, OFF),
    on: () => byAsking(false, {}),
  },
  {
    name: 'parameters of the attacker’s choice, by the start of many runs',
    rule: '`participants.minimum` (at parameters)',
    off: () => byStart(OFF, 18),
    on: () => best((steepness) => byStart({}, steepness)),
  },
  {
    name: 'parameters of the attacker’s choice, by invented sums of one run',
    rule: '`participants.minimum` (at parameters)',
    off: () => byLying(OFF, 18),
    on: () => best((steepness) => byLying({}, steepness)),
  },
];
