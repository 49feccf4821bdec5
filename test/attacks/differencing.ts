/**
 * **Subtraction.** A linear model's estimates are sums over its participants (plans.ts): X'X, X'y, n. Of two sets that differ by one
 * person the sums' difference is that person's row: n − n' = 1, and Σ arm, Σ age, Σ y give arm, age and outcome.
 * The sets may differ by the population's words, by a value that is missing for one model only, by an update of the records, or by
 * a partition that leaves somebody out: all − women − men is whoever has no sex recorded. Of sets that differ by ten, X'y of ten known
 * columns is ten equations in ten outcomes.
 */
import type { StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import { leastSquares, matches, none, normal, random, type Attack, type Recovered } from './attack.ts';
import { ARM, linearSums, planOf, two } from './plans.ts';
import { csvOf, estimatesOf, policyWith, Site, type Loosened, type Records } from './site.ts';

const N = 90;
const OUTCOME = '{kind: continuous, variable: y}';
const MODEL = two('family: gaussian, adjust: [age]');
const MODEL_ALONE = two('family: gaussian, adjust: [age]', ', pool: {term: age}');
/** The one who is in one set and not in the other. */
const TARGET = 41;

interface Trial extends Records {
  readonly pid: number[];
  readonly arm: number[];
  readonly age: number[];
  readonly lab: number[];
  readonly y: number[];
}

function trial(): Trial {
  const next = random(31);
  const pid = Array.from({ length: N }, (_, i) => i + 1);
  return {
    pid,
    arm: pid.map((i) => i % 2),
    age: pid.map(() => 40 + Math.floor(40 * next())),
    lab: pid.map(() => Number((5 + normal(next)).toFixed(2))),
    y: pid.map(() => Number((130 + 15 * normal(next)).toFixed(1))),
  };
}

const rowOf = ({ arm, age, y }: Trial): number[] => [arm[TARGET]!, age[TARGET]!, y[TARGET]!];

/** The first estimates' sums less those of all the others: arm, age and outcome of whoever is left. */
function left(estimates: readonly (StageOneEstimate | undefined)[], truth: readonly number[]): Recovered {
  if (estimates.includes(undefined)) return none(truth.length);
  const sums = estimates.map((estimate) => {
    const { xx, xy } = linearSums(estimate!);
    return [xx[0]![1]!, xx[0]![2]!, xy[0]!];
  });
  return matches(difference(sums), truth, 0.02);
}

/** The same of models without a treatment: age and outcome. */
function leftAlone(
  estimates: readonly (StageOneEstimate | undefined)[],
  truth: readonly number[],
): Recovered {
  if (estimates.includes(undefined)) return none(truth.length);
  const sums = estimates.map((estimate) => {
    const { xx, xy } = linearSums(estimate!);
    return [xx[0]![1]!, xy[0]!];
  });
  return matches(difference(sums), truth, 0.02);
}

/** The first less all the others. */
const difference = (sums: readonly (readonly number[])[]): number[] =>
  sums[0]!.map((value, j) => value - sums.slice(1).reduce((sum, other) => sum + other[j]!, 0));

async function populations(loosened: Loosened): Promise<Recovered> {
  const records = trial();
  const site = new Site(records, { policy: policyWith(loosened) });
  const estimates = [];
  for (const population of ['pid > 0', `pid != ${records.pid[TARGET]}`]) {
    const plan = planOf({ population, treatment: ARM, outcome: OUTCOME, analyses: { a: MODEL } });
    estimates.push((await estimatesOf(site, plan, ['a'])).get('a'));
  }
  await site.stop();
  return left(estimates, rowOf(records));
}

async function update(loosened: Loosened): Promise<Recovered> {
  const records = trial();
  const without = Object.fromEntries(
    Object.entries(records).map(([name, values]) => [name, values.filter((_, i) => i !== TARGET)]),
  );
  const site = new Site(without, { policy: policyWith(loosened) });
  const plan = planOf({ treatment: ARM, outcome: OUTCOME, analyses: { a: MODEL } });
  const before = (await estimatesOf(site, plan, ['a'])).get('a');
  site.write(csvOf(records));
  const after = (await estimatesOf(site, plan, ['a'])).get('a');
  await site.stop();
  return left([after, before], rowOf(records));
}

/** All, and each of a factor's levels: the target has none of them. */
async function partition(loosened: Loosened, levels: number): Promise<Recovered> {
  const records = trial();
  const group = records.pid.map((pid, i) => (i === TARGET ? null : pid % levels));
  const site = new Site({ ...records, group }, { policy: policyWith(loosened) });
  const estimates = [];
  const parts = Array.from({ length: levels }, (_, level) => `group == ${level}`);
  for (const population of ['pid > 0', ...parts]) {
    const plan = planOf({ population, outcome: OUTCOME, analyses: { a: MODEL_ALONE } });
    estimates.push((await estimatesOf(site, plan, ['a'])).get('a'));
  }
  await site.stop();
  return leftAlone(estimates, rowOf(records).slice(1));
}

/** Two models of one plan, of which the second needs a value that one participant lacks. */
async function missing(loosened: Loosened): Promise<Recovered> {
  const records = trial();
  const lab = records.lab.map((value, i) => (i === TARGET ? null : value));
  const site = new Site({ ...records, lab }, { policy: policyWith(loosened) });
  const plan = planOf({
    treatment: ARM,
    outcome: OUTCOME,
    analyses: { a: MODEL, b: two('family: gaussian, adjust: [age, lab]') },
  });
  const found = await estimatesOf(site, plan, ['a', 'b']);
  await site.stop();
  return left([found.get('a'), found.get('b')], rowOf(records));
}

const TEN = 10;

/** Their columns are the attacker's to know: the intercept and nine covariates. */
async function ten(loosened: Loosened, by: 'population' | 'update'): Promise<Recovered> {
  const next = random(37);
  const pid = Array.from({ length: 200 }, (_, i) => i + 1);
  const names = Array.from({ length: TEN - 1 }, (_, j) => `x${j}`);
  const covariates = names.map(() => pid.map(() => Number(normal(next).toFixed(2))));
  const y = pid.map(() => Number((130 + 15 * normal(next)).toFixed(1)));
  const records = { pid, y, ...Object.fromEntries(names.map((name, j) => [name, covariates[j]!])) };
  const without = Object.fromEntries(
    Object.entries(records).map(([name, values]) => [name, values.slice(TEN)]),
  );
  const site = new Site(by === 'update' ? without : records, { policy: policyWith(loosened) });
  const analyses = { a: two(`family: gaussian, adjust: [${names.join(', ')}]`, ', pool: {term: x0}') };
  const ask = async (population: string) =>
    (await estimatesOf(site, planOf({ population, outcome: OUTCOME, analyses }), ['a'])).get('a');
  const fewer = await ask(`pid > ${TEN}`);
  site.write(csvOf(records));
  const all = await ask('pid > 0');
  await site.stop();
  if (fewer === undefined || all === undefined) return none(TEN);
  const before = linearSums(fewer).xy;
  const right = linearSums(all).xy.map((value, j) => value - before[j]!);
  const columns = [pid.map(() => 1), ...covariates].map((column) => column.slice(0, TEN));
  const solution = leastSquares(columns, right);
  return solution === null ? none(TEN) : matches(solution, y.slice(0, TEN), 0.04);
}

export const attacks: readonly Attack[] = [
  {
    name: 'differencing of two populations',
    rule: '`differencing`, `leverage` (together), `smallest_cell` (of populations)',
    off: () => populations({ differencing: null, leverage: null, smallest_cell: null }),
    on: () => populations({}),
  },
  {
    name: 'differencing across an update of the records',
    rule: '`differencing`, `leverage` (together)',
    off: () => update({ differencing: null, leverage: null }),
    on: () => update({}),
  },
  {
    name: 'differencing of three: all, and both sexes',
    rule: '`differencing`, `leverage` (together)',
    off: () => partition({ differencing: null, leverage: null }, 2),
    on: () => partition({}, 2),
  },
  {
    name: 'differencing of four: all, and three regions',
    rule: '`differencing`, `leverage` (together)',
    off: () => partition({ differencing: null, leverage: null }, 3),
    on: () => partition({}, 3),
  },
  {
    name: 'a value missing for one, in one model of two',
    rule: '`differencing`, `leverage` (together)',
    off: () => missing({ differencing: null, leverage: null }),
    on: () => missing({}),
  },
  {
    name: 'differencing of ten, by ten columns',
    rule: '`leverage` (together)',
    off: () => ten({ leverage: null }, 'population'),
    on: () => ten({}, 'population'),
  },
  {
    name: 'differencing of ten, by ten columns, across an update of the records',
    rule: '`leverage` (together)',
    off: () => ten({ leverage: null }, 'update'),
    on: () => ten({}, 'update'),
  },
];
