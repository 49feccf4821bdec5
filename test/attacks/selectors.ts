/**
 * **Selectors in a model.** What a linear fit releases is a function of X'X, X'y, y'y and n (plans.ts).
 *
 * *Saturated*: with p = n − 1 columns that the attacker knows from elsewhere, y = Xβ̂ + e, and e lies along the one direction that X leaves
 * free, with length √RSS: y but for a sign, and of the two only one has outcomes as they are recorded, to one decimal.
 *
 * *Few events*: a logistic fit tells X'y, the events' number and the sum of their x. Of five events among sixty, with measurements of
 * nine digits, one set of five has that sum.
 *
 * *One-hot*: of a factor level with one person, the level's row of X'X is that person's row of X, and its part of X'y their outcome.
 *
 * *Outlier*: where one value dwarfs the others the regression passes through it: x_k² ≈ Σx², and y_k = b₀ + b x_k.
 *
 * *Cells*: X'X of indicators of two factors holds their cross-table, interactions those of three.
 */
import { symmetricEigen } from '@concordat/shared/linalg/symmetric.ts';
import { matches, none, normal, random, type Attack, type Recovered } from './attack.ts';
import { ARM, linearSums, planOf, two } from './plans.ts';
import { estimatesOf, policyWith, Site, type Loosened, type Records } from './site.ts';

const CONTINUOUS = '{kind: continuous, variable: y}';

/** Estimates of analysis `a`; undefined where the site gives none. */
async function fit(records: Records, loosened: Loosened, plan: string) {
  const site = new Site(records, { policy: policyWith(loosened) });
  const found = (await estimatesOf(site, plan, ['a'])).get('a');
  await site.stop();
  return found;
}

async function saturated(loosened: Loosened): Promise<Recovered> {
  const n = 24;
  const next = random(7);
  const y = Array.from({ length: n }, () => Number((130 + 15 * normal(next)).toFixed(1)));
  const known = Array.from({ length: n - 2 }, () => y.map(() => Number(normal(next).toFixed(3))));
  const names = known.map((_, j) => `x${j}`);
  const plan = planOf({
    outcome: CONTINUOUS,
    analyses: { a: two(`family: gaussian, adjust: [${names.join(', ')}]`, ', pool: {term: x0}') },
  });
  const found = await fit(
    { y, ...Object.fromEntries(names.map((name, j) => [name, known[j]!])) },
    loosened,
    plan,
  );
  if (found === undefined) return none(n);
  const columns = [y.map(() => 1), ...known];
  // The direction that is orthogonal to every column: the one eigenvector of XX' without length.
  const gram = new Float64Array((n * (n + 1)) / 2);
  for (let i = 0, at = 0; i < n; i++)
    for (let j = 0; j <= i; j++)
      gram[at++] = columns.reduce((sum, column) => sum + column[i]! * column[j]!, 0);
  const free = symmetricEigen(gram).vectors[0]!;
  const length = Math.sqrt(found.residualVariance);
  const fitted = y.map((_, i) =>
    columns.reduce((sum, column, j) => sum + column[i]! * found.estimates[j]!, 0),
  );
  const recorded = (values_: readonly number[]): number =>
    values_.reduce((sum, value) => sum + Math.abs(10 * value - Math.round(10 * value)), 0);
  const [one, other] = [1, -1].map((sign) => fitted.map((value, i) => value + sign * length * free[i]!));
  return matches(recorded(one!) < recorded(other!) ? one! : other!, y, 0.04);
}

async function fewEvents(loosened: Loosened): Promise<Recovered> {
  const n = 60;
  const next = random(13);
  const x = Array.from({ length: n }, () => Number((40 + 40 * next() + next() / 1e4).toFixed(7)));
  const cases = [4, 17, 23, 38, 51];
  const died = x.map((_, i) => (cases.includes(i) ? 1 : 0));
  const plan = planOf({
    outcome: '{kind: binary, variable: died}',
    analyses: { a: two('family: binomial, adjust: [x]', ', pool: {term: x}') },
  });
  const found = await fit({ x, died }, loosened, plan);
  if (found === undefined) return none(cases.length);
  // X'y = X'p at the estimates.
  const p = x.map((value) => 1 / (1 + Math.exp(-found.estimates[0]! - found.estimates[1]! * value)));
  const target = p.reduce((sum, value, i) => sum + value * x[i]!, 0);
  const found5 = five(
    x.map((value) => Math.round(1e7 * value)),
    Math.round(1e7 * target),
  );
  return { recovered: found5?.every((i) => cases.includes(i)) === true ? cases.length : 0, of: cases.length };
}

/** Five different positions of values with this sum: pairs by their sum, and every triple's complement among them. */
function five(values: readonly number[], target: number): readonly number[] | null {
  const pairs = new Map<number, (readonly [number, number])[]>();
  for (let i = 0; i < values.length; i++) {
    for (let j = 0; j < i; j++) {
      const sum = values[i]! + values[j]!;
      pairs.set(sum, [...(pairs.get(sum) ?? []), [i, j]]);
    }
  }
  const solutions = new Set<string>();
  for (let i = 0; i < values.length; i++)
    for (let j = 0; j < i; j++)
      for (let k = 0; k < j; k++)
        for (const [a, b] of pairs.get(target - values[i]! - values[j]! - values[k]!) ?? []) {
          const all = new Set([i, j, k, a, b]);
          if (all.size === 5) solutions.add([...all].toSorted((x, y) => x - y).join());
        }
  const [only, ...more] = solutions;
  return only === undefined || more.length > 0 ? null : only.split(',').map(Number);
}

async function oneHot(loosened: Loosened): Promise<Recovered> {
  const n = 100;
  const next = random(19);
  const arm = Array.from({ length: n }, (_, i) => i % 2);
  const age = arm.map(() => 40 + Math.floor(40 * next()));
  const y = arm.map(() => Number((130 + 15 * normal(next)).toFixed(1)));
  const singles = [33, 72];
  const role = arm.map((_, i) =>
    singles.includes(i) ? `only-${singles.indexOf(i)}` : ['nurse', 'clerk'][i % 3 === 0 ? 0 : 1]!,
  );
  const plan = planOf({
    treatment: ARM,
    outcome: CONTINUOUS,
    levels: '{role: [nurse, clerk, only-0, only-1]}',
    analyses: { a: two('family: gaussian, adjust: [age, factor(role)]') },
  });
  const found = await fit({ arm, age, role, y }, loosened, plan);
  const truth = singles.flatMap((i) => [arm[i]!, age[i]!, y[i]!]);
  if (found === undefined) return none(truth.length);
  // Columns: 1, arm, age, clerk, only-0, only-1.
  const { xx, xy } = linearSums(found);
  return matches(
    [4, 5].flatMap((j) => [xx[j]![1]!, xx[j]![2]!, xy[j]!]),
    truth,
    0.02,
  );
}

async function outlier(loosened: Loosened): Promise<Recovered> {
  const n = 100;
  const next = random(37);
  const income = Array.from({ length: n }, (_, i) =>
    i === 61 ? 40_000_000 : Math.round(20_000 + 30_000 * next()),
  );
  const y = income.map(() => Number((130 + 15 * normal(next)).toFixed(1)));
  const plan = planOf({
    outcome: CONTINUOUS,
    analyses: { a: two('family: gaussian, adjust: [income]', ', pool: {term: income}') },
  });
  const found = await fit({ income, y }, loosened, plan);
  if (found === undefined) return none(2);
  const { xx } = linearSums(found);
  const x = Math.sqrt(xx[1]![1]!);
  const outcome = found.estimates[0]! + found.estimates[1]! * x;
  const { recovered } = matches([outcome], [y[61]!], 0.15);
  return { recovered: recovered + (Math.abs(x / income[61]! - 1) < 1e-3 ? 1 : 0), of: 2 };
}

/** Cells of fewer than five that the attacker reads off X'X. */
async function cells(loosened: Loosened, interaction: boolean): Promise<Recovered> {
  const n = 200;
  const next = random(interaction ? 43 : 47);
  const site = Array.from({ length: n }, () => Math.floor(3 * next()));
  const genotype = site.map((s) => {
    const u = next();
    return s === 2 ? (u < (interaction ? 0.04 : 0.06) ? 2 : u < 0.5 ? 1 : 0) : u < 0.3 ? 2 : u < 0.6 ? 1 : 0;
  });
  const y = site.map(() => Number((130 + 15 * normal(next)).toFixed(1)));
  const terms = interaction ? ', factor(site):factor(genotype)' : '';
  const plan = planOf({
    outcome: CONTINUOUS,
    levels: '{site: [0, 1, 2], genotype: [0, 1, 2]}',
    analyses: {
      a: two(
        `family: gaussian, adjust: [factor(site), factor(genotype)${terms}]`,
        ', pool: {term: factor(site)1}',
      ),
    },
  });
  const found = await fit({ site, genotype, y }, loosened, plan);
  const truth: number[] = [];
  const read: number[] = [];
  const xx = found === undefined ? null : linearSums(found).xx;
  for (const s of [1, 2])
    for (const g of [1, 2]) {
      const count = site.filter((value, i) => value === s && genotype[i] === g).length;
      if (count === 0 || count >= 5) continue;
      truth.push(count);
      // Columns: 1, site 1, site 2, genotype 1, genotype 2, and their products.
      if (xx !== null) read.push(xx[s]![2 + g]!);
    }
  return matches(read, truth, 0.01);
}

export const attacks: readonly Attack[] = [
  {
    name: 'saturated model',
    rule: '`parameters_per_participant`, `leverage`',
    off: () => saturated({ parameters_per_participant: null, leverage: null }),
    on: () => saturated({}),
  },
  {
    name: 'few events',
    rule: '`events_per_parameter`',
    off: () => fewEvents({ events_per_parameter: null }),
    on: () => fewEvents({}),
  },
  {
    name: 'one-hot selector among the covariates',
    rule: '`smallest_cell`, `leverage`',
    off: () => oneHot({ smallest_cell: null, leverage: null }),
    on: () => oneHot({}),
  },
  {
    name: 'an outlier as selector',
    rule: '`leverage`',
    off: () => outlier({ leverage: null }),
    on: () => outlier({}),
  },
  {
    name: 'cells of two factors in X′X',
    rule: '`smallest_cell` (of pairs)',
    off: () => cells({ smallest_cell: null }, false),
    on: () => cells({}, false),
  },
  {
    name: 'cells of an interaction in X′X',
    rule: '`smallest_cell` (of interactions)',
    off: () => cells({ smallest_cell: null }, true),
    on: () => cells({}, true),
  },
];
