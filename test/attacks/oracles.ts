/**
 * **Yes and no.** A number that depends on one person tells about that person, and so does whether an answer is refused.
 *
 * *Left-out counts*: of the population `not (pid == k and died == 1)` one participant is left out, or none.
 *
 * *Refusals*: of the population `pid in (nineteen others) or (pid == k and died == 1)` there are nineteen or twenty participants, and the rule
 * that asks for twenty refuses, or does not. A threshold on data of the attacker's choice is an answer of one bit a plan. What stops it
 * is that a population whose comparisons part few participants from the others is refused first, whatever else it fails.
 */
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import { normal, random, type Attack, type Recovered } from './attack.ts';
import { planOf, two } from './plans.ts';
import { policyWith, Run, Site, type Loosened } from './site.ts';

const N = 60;
/** People whose outcome is asked about. */
const TARGETS = 24;
const OUTCOME = '{kind: continuous, variable: y}';
const MODEL = two('family: gaussian, adjust: [x]', ', pool: {term: x}');

function records() {
  const next = random(71);
  const pid = Array.from({ length: N }, (_, i) => i + 1);
  return {
    pid,
    died: pid.map(() => (next() < 0.5 ? 1 : 0)),
    x: pid.map(() => Number(normal(next).toFixed(3))),
    y: pid.map(() => Number((130 + 15 * normal(next)).toFixed(1))),
  };
}

/** How many bits are right, where the answers differ at all: what is always the same tells nothing. */
function bits(found: readonly (number | null)[], truth: readonly number[]): Recovered {
  const of = found.length;
  if (new Set(found.filter((bit) => bit !== null)).size < 2) return { recovered: 0, of };
  return { recovered: found.filter((bit, i) => bit === truth[i]).length, of };
}

async function leftOut(loosened: Loosened): Promise<Recovered> {
  const { pid, died, x, y } = records();
  const site = new Site({ pid, died, x, y }, { policy: policyWith(loosened) });
  const found: (number | null)[] = [];
  for (const person of pid.slice(0, TARGETS)) {
    const population = `not (pid == ${person} and died == 1)`;
    const plan = planOf({ population, outcome: OUTCOME, analyses: { a: MODEL } });
    const [payload] = (await (await Run.open(site, plan))?.stageOne(['a'])) ?? [];
    found.push(payload?.$case === 'stageOneEstimate' ? payload.value.counts!.notInPopulation : null);
  }
  await site.stop();
  return bits(found, died);
}

async function refusals(loosened: Loosened): Promise<Recovered> {
  const { pid, died, x, y } = records();
  const site = new Site({ pid, died, x, y }, { policy: policyWith(loosened) });
  const others = pid.slice(-19).join(', ');
  const found: (number | null)[] = [];
  for (const person of pid.slice(0, TARGETS)) {
    const population = `pid in (${others}) or (pid == ${person} and died == 1)`;
    const plan = planOf({ population, outcome: OUTCOME, analyses: { a: MODEL } });
    const [payload] = (await (await Run.open(site, plan))?.stageOne(['a'])) ?? [];
    const tooFew = payload?.$case === 'refusal' && payload.value.rule === Rule.RULE_PARTICIPANTS;
    found.push(payload === null || payload === undefined ? null : tooFew ? 0 : 1);
  }
  await site.stop();
  return bits(found, died);
}

export const attacks: readonly Attack[] = [
  {
    name: 'counts of who was left out',
    rule: '`differencing`, `leverage` (together), `smallest_cell` (of populations)',
    off: () => leftOut({ differencing: null, leverage: null, smallest_cell: null }),
    on: () => leftOut({}),
  },
  {
    name: 'refusals as answers',
    rule: '`smallest_cell` (of populations)',
    off: () => refusals({ smallest_cell: null }),
    on: () => refusals({}),
  },
];
