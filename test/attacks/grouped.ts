/**
 * **Rows that claim to be groups.** A plan chooses which columns are the events and the trials of a grouped outcome, and the rules count a
 * row by its trials. With an integer measurement of a person for the trials (blood pressure, 140) and a smaller one for the
 * events (age, 63), one person passes for 140 participants with 63 events.
 *
 * With a column for each person the fit is saturated: coefficient b_k = logit(e_k/t_k) − logit(e_1/t_1), and the information of cell k is
 * e_k(t_k − e_k)/t_k = w_k. From p = logistic(η_k) follows t_k = w_k/(p(1 − p)) and e_k = p·t_k: both measurements of everyone.
 */
import { matches, none, random, type Attack, type Recovered } from './attack.ts';
import { planOf, two } from './plans.ts';
import { estimatesOf, policyWith, Site, type Loosened } from './site.ts';

const N = 12;

function records() {
  const next = random(11);
  const pid = Array.from({ length: N }, (_, i) => i + 1);
  const sbp = pid.map(() => 110 + Math.floor(60 * next()));
  const age = pid.map(() => 30 + Math.floor(50 * next()));
  return { pid, sbp, age };
}

async function recover(loosened: Loosened): Promise<Recovered> {
  const { pid, sbp, age } = records();
  const site = new Site({ pid, sbp, age }, { policy: policyWith(loosened) });
  const plan = planOf({
    outcome: '{kind: binary, events: age, trials: sbp}',
    levels: `{pid: [${pid.join(', ')}]}`,
    analyses: { all: two('family: binomial, adjust: [factor(pid)]', `, pool: {term: factor(pid)${N}}`) },
  });
  const found = (await estimatesOf(site, plan, ['all'])).get('all');
  await site.stop();
  const truth = [...age, ...sbp];
  if (found === undefined) return none(truth.length);
  // Var b_1 = 1/w_1, Var b_k = 1/w_1 + 1/w_k.
  const w = pid.map((_, k) => {
    const variance = found.vcov[(k * (k + 1)) / 2 + k]!;
    return 1 / (k === 0 ? variance : variance - found.vcov[0]!);
  });
  const pairs = w.map((weight, k) => {
    const eta = found.estimates[0]! + (k === 0 ? 0 : found.estimates[k]!);
    const p = 1 / (1 + Math.exp(-eta));
    const trials = weight / (p * (1 - p));
    return [trials * p, trials] as const;
  });
  return matches([...pairs.map(([events]) => events), ...pairs.map(([, trials]) => trials)], truth, 0.01);
}

export const attacks: readonly Attack[] = [
  {
    name: 'rows that claim to be groups of participants',
    rule: '`grouped_rows`',
    off: () => recover({ grouped_rows: true }),
    on: () => recover({}),
  },
];
