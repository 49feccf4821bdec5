/**
 * **Many small models of the same participants.** No model has more than a tenth as many parameters as there are participants, no cell is
 * small, no leverage high, and every model is of the same analysis set; but a linear fit tells X'y, p equations in the
 * outcomes, and a plan may hold a hundred models. The attacker knows X: here splines of a serial number, each with other knots. Together
 * the columns span every function of it, and [X₁ X₂ …]'y is solved for y.
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

export const attacks: readonly Attack[] = [
  {
    name: 'many small models of the same participants',
    rule: '`leverage` (together)',
    off: () => recover({ leverage: null }),
    on: () => recover({}),
  },
];
