/**
 * **Adjacent times.** Sums over risk sets drop by one participant's share whenever somebody leaves, so that two sums at adjacent times list
 * who left between them.
 *
 * *In one model*: a shared baseline hazard on a fine grid. The first answer holds the events of each interval and, at β = 0,
 * ∂ψ/∂h_k = −(number at risk in interval k) (Breslow): differences are participants leaving.
 *
 * *In many models*: a piecewise-constant hazard with a single cut c, model after model with another one. From the estimates' covariance
 * follows the information I, where I[λ₁, λ₁] = d₁(c), the events until c, and I[λ₁, β] = λ₁e^β T₁(c), T₁ = Σ min(tᵢ, c) over
 * the active arm; d₁ = λ₁(T₀ + e^β T₁) gives the control's. d₁(c) − d₁(c − 1) are the events of one day, and
 * T(c + 1) − 2T(c) + T(c − 1) = −(participants whose time is c). No interval of any one model is small. What stops it is to hold
 * the cells of the intervals between all cuts that were ever asked about against the smallest one.
 */
import { cholesky, inverseFromCholesky, packedIndex } from '@concordat/shared/linalg/symmetric.ts';
import { combineEntries } from '@concordat/shared/one-stage/entry.ts';
import { layoutOf, readSums } from '@concordat/shared/one-stage/frailty-study.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { objectiveQuestion, studyEntry } from '@concordat/shared/wire/one-stage.ts';
import { none, random, type Attack, type Recovered } from './attack.ts';
import { ARM, one, planOf, two } from './plans.ts';
import { estimatesOf, policyWith, Run, Site, type Loosened } from './site.ts';

const N = 160;
const DAYS = 40;

function records() {
  const next = random(17);
  const arm = Array.from({ length: N }, (_, i) => i % 2);
  const time = arm.map((a) => Math.max(1, Math.min(DAYS, Math.ceil(-Math.log(next()) * (25 + 10 * a)))));
  const event = time.map((t) => (t < DAYS && next() < 0.8 ? 1 : 0));
  return { arm, time, event };
}

const OUTCOME = '{kind: time-to-event, time: time, event: event}';

/** Participants whose last day the attacker has right: where the number leaving on a day is right, all of that day. */
function rightDays(time: readonly number[], leaving: ReadonlyMap<number, number>): Recovered {
  let recovered = 0;
  for (const [day, count] of leaving) {
    const truth = time.filter((t) => t === day).length;
    if (Math.abs(count - truth) < 0.01) recovered += truth;
  }
  return { recovered, of: time.length };
}

async function sweep(loosened: Loosened): Promise<Recovered> {
  const { arm, time, event } = records();
  const site = new Site({ arm, time, event }, { policy: policyWith(loosened) });
  const cuts = Array.from({ length: DAYS - 2 }, (_, k) => k + 1);
  const plan = planOf({
    outcome: OUTCOME,
    treatment: ARM,
    analyses: Object.fromEntries(
      cuts.map((cut) => [`c${cut}`, two(`family: piecewise-exponential, cuts: [${cut}]`)]),
    ),
  });
  const found = await estimatesOf(
    site,
    plan,
    cuts.map((cut) => `c${cut}`),
  );
  await site.stop();
  const timeAtRisk = new Map<number, number>();
  for (const cut of cuts) {
    const estimate = found.get(`c${cut}`);
    if (estimate === undefined) continue;
    const information = inverseFromCholesky(cholesky(Float64Array.from(estimate.vcov)));
    const [beta, first] = estimate.estimates as [number, number];
    const events = information[packedIndex(1, 1)]!;
    const active = information[packedIndex(1, 0)]! / Math.exp(first + beta);
    timeAtRisk.set(cut, events / Math.exp(first) - active * Math.exp(beta) + active);
  }
  const leaving = new Map<number, number>();
  for (const [cut, total] of timeAtRisk) {
    const [before, after] = [cut === 1 ? 0 : timeAtRisk.get(cut - 1), timeAtRisk.get(cut + 1)];
    if (before !== undefined && after !== undefined) leaving.set(cut, 2 * total - before - after);
  }
  return rightDays(time, leaving);
}

async function grid(loosened: Loosened): Promise<Recovered> {
  const { arm, time, event } = records();
  const site = new Site({ arm, time, event }, { policy: policyWith(loosened) });
  const ends = Array.from({ length: DAYS - 1 }, (_, k) => k + 1);
  const plan = planOf({
    outcome: OUTCOME,
    treatment: ARM,
    analyses: {
      fine: one(`family: cox, ties: breslow, baseline: shared, frailty: gamma, grid: [${ends.join(', ')}]`),
    },
  });
  const run = await Run.open(site, plan);
  const entered = await run?.enter('fine');
  if (entered?.$case !== 'oneStageEntry' || run === null) {
    await site.stop();
    return none(N);
  }
  const expanded = expandPlan(parsePlan(plan, 'the plan'), {});
  const spec = oneStageSpec(expanded, expanded.analyses[0]!);
  const honest = combineEntries(spec, [studyEntry(entered.value)]);
  // Where the fit starts is the coordinator's to say: at β = 0 everyone weighs the same.
  const entry = { ...honest, start: new Float64Array(honest.start.length) };
  const first = oneStageModels[spec.kind].program(spec, entry).next();
  const told =
    first.done === true
      ? null
      : await run.question('fine', objectiveQuestion(first.value, 1, entry, new Float64Array(0), []));
  await site.stop();
  if (told?.$case !== 'objectiveValue') return none(N);
  const layout = layoutOf(spec);
  const { gradient } = readSums(layout, Float64Array.from(told.value.values));
  // ∂ψ/∂h_k is a multiple (the frailty's mean) of the sum over the risk set of interval k; everyone is at risk in the first one.
  const atRisk = Array.from(gradient.subarray(layout.m - layout.multipliers), (value) => -value);
  const leaving = new Map<number, number>();
  const scale = N / atRisk[0]!;
  for (let day = 1; day < DAYS; day++) leaving.set(day, scale * (atRisk[day - 1]! - (atRisk[day] ?? 0)));
  return rightDays(time, leaving);
}

export const attacks: readonly Attack[] = [
  {
    name: 'adjacent times: a shared baseline on a fine grid',
    rule: '`shared_baseline`, `smallest_cell` (of intervals)',
    off: () => grid({ shared_baseline: true, smallest_cell: null }),
    on: () => grid({}),
  },
  {
    name: 'adjacent times: a cut that moves from model to model',
    rule: '`smallest_cell` (of intervals between all cuts)',
    off: () => sweep({ smallest_cell: null }),
    on: () => sweep({}),
  },
];
