/**
 * **Many small models of the same participants.** No model has more than a tenth as many parameters as there are participants, no cell is
 * small, no leverage high, and every model is of the same analysis set; but a linear fit tells X'y, p equations in the
 * outcomes, and a plan may hold a hundred models. The attacker knows X: here splines of a serial number, each with other knots. Together
 * the columns span every function of it, and [X₁ X₂ …]'y is solved for y.
 *
 * The other way round, x ~ y tells the same; models of other outcomes by other covariates tell sums of the arms alone, for which any
 * variable of zeros and ones may be declared; and two outcomes, or offsets, that differ for one person tell that person's row.
 *
 * What stops it is the leverage in all columns that were ever crossed with one outcome, and not in each model's.
 */
import { rcsBasis } from '@concordat/shared/models/rcs.ts';
import { leastSquares, matches, none, normal, random, type Attack, type Recovered } from './attack.ts';
import { linearSums, planOf, two } from './plans.ts';
import { estimatesOf, policyWith, Site, type Loosened } from './site.ts';

const N = 80;
async function recover(loosened: Loosened): Promise<Recovered> {
  const next = random(5);
  const pid = Array.from({ length: N }, (_, i) => i + 1);
  const y = pid.map(() => Number((120 + 15 * normal(next)).toFixed(1)));
  const site = new Site({ pid, y }, { policy: policyWith(loosened) });
  const designs: number[][] = [];
  for (let k = 2; k < N; k++) designs.push([1, k, N]);
  const plan = planOf({
    outcome: '{kind: continuous, variable: y}',
    analyses: Object.fromEntries(
      designs.map((knots, i) => [
        `m${i}`,
        two(`family: gaussian, adjust: ["rcs(pid, [${knots.join(', ')}])"]`, ', pool: {term: rcs(pid)1}'),
      ]),
    ),
  });
  const found = await estimatesOf(
    site,
    plan,
    designs.map((_, i) => `m${i}`),
  );
  await site.stop();
  const rows: number[][] = [];
  const right: number[] = [];
  designs.forEach((knots, i) => {
    const estimate = found.get(`m${i}`);
    if (estimate === undefined) return;
    const { xy } = linearSums(estimate);
    xy.forEach((value, j) => {
      const row = pid.map((x) => (j === 0 ? 1 : rcsBasis(x, knots, j - 1)));
      const size = Math.hypot(...row);
      rows.push(row.map((v) => v / size));
      right.push(value / size);
    });
  });
  const solution = leastSquares(rows, right);
  return solution === null ? none(N) : matches(solution, y, 0.04);
}

/** Covariates that the attacker knows. */
function known(n: number, count: number, next: () => number): Record<string, number[]> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, k) => [
      `x${k}`,
      Array.from({ length: n }, () => Number(normal(next).toFixed(3))),
    ]),
  );
}

/** y as the covariate of each known variable in turn. */
async function swapped(loosened: Loosened): Promise<Recovered> {
  const n = 40;
  const next = random(5);
  const y = Array.from({ length: n }, () => Number((120 + 15 * normal(next)).toFixed(1)));
  const x = known(n, n - 1, next);
  const site = new Site({ y, ...x }, { policy: policyWith(loosened) });
  const rows: number[][] = [];
  const right: number[] = [];
  for (const [name, values] of Object.entries(x)) {
    const analyses = { a: two('family: gaussian, adjust: [y]', ', pool: {term: y}') };
    const plan = planOf({ outcome: `{kind: continuous, variable: ${name}}`, analyses });
    const estimate = (await estimatesOf(site, plan, ['a'])).get('a');
    if (estimate === undefined) continue;
    const { xx, xy } = linearSums(estimate);
    if (rows.length === 0) {
      rows.push(y.map(() => 1));
      right.push(xx[0]![1]!);
    }
    rows.push(values);
    right.push(xy[1]!);
  }
  await site.stop();
  const solution = leastSquares(rows, right);
  return solution === null ? none(n) : matches(solution, y, 0.1);
}

/** A diagnosis as the arms of models that have nothing else in common. */
async function arms(loosened: Loosened): Promise<Recovered> {
  const n = 40;
  const next = random(5);
  const z = Array.from({ length: n }, () => (next() < 0.5 ? 1 : 0));
  const x = known(n, n, next);
  const site = new Site({ z, ...x }, { policy: policyWith(loosened) });
  const rows: number[][] = [];
  const right: number[] = [];
  for (let k = 0; k < n; k += 2) {
    const plan = planOf({
      treatment: '{variable: z, control: 0, active: 1}',
      outcome: `{kind: continuous, variable: x${k}}`,
      analyses: { a: two(`family: gaussian, adjust: [x${k + 1}]`) },
    });
    const estimate = (await estimatesOf(site, plan, ['a'])).get('a');
    if (estimate === undefined) continue;
    const { xx, xy } = linearSums(estimate);
    rows.push(x[`x${k}`]!, x[`x${k + 1}`]!);
    right.push(xy[1]!, xx[1]![2]!);
  }
  await site.stop();
  const solution = leastSquares(rows, right);
  return solution === null ? none(n) : matches(solution, z, 0.1);
}

/** An outcome, and its corrected version in which one participant's value is another: X'(y₂ − y) is a multiple of their row. */
async function corrected(loosened: Loosened): Promise<Recovered> {
  const n = 120;
  const next = random(7);
  const { x0: age = [], x1: lab = [], x2: y = [] } = known(n, 3, next);
  const y2 = y.map((value, i) => (i === 41 ? value + 1 : value));
  const site = new Site({ age, lab, y, y2 }, { policy: policyWith(loosened) });
  const sums: (readonly number[])[] = [];
  for (const variable of ['y', 'y2']) {
    const analyses = { a: two('family: gaussian, adjust: [age, lab]', ', pool: {term: age}') };
    const plan = planOf({ outcome: `{kind: continuous, variable: ${variable}}`, analyses });
    const estimate = (await estimatesOf(site, plan, ['a'])).get('a');
    if (estimate !== undefined) sums.push(linearSums(estimate).xy);
  }
  await site.stop();
  const [before, after] = sums;
  if (before === undefined || after === undefined) return none(2);
  const [one = 0, ...row] = after.map((value, j) => value - before[j]!);
  return matches(
    row.map((value) => value / one),
    [age[41]!, lab[41]!],
    0.0005,
  );
}

export const attacks: readonly Attack[] = [
  {
    name: 'many small models of the same participants',
    rule: '`leverage` (together)',
    off: () => recover({ leverage: null }),
    on: () => recover({}),
  },
  {
    name: 'many small models, by each known variable as outcome',
    rule: '`leverage` (together)',
    off: () => swapped({ leverage: null }),
    on: () => swapped({}),
  },
  {
    name: 'many small models that have but the arms in common',
    rule: '`leverage` (together)',
    off: () => arms({ leverage: null }),
    on: () => arms({}),
  },
  {
    name: 'an outcome, and the same with one value corrected',
    rule: '`leverage` (together)',
    off: () => corrected({ leverage: null }),
    on: () => corrected({}),
  },
];
