/**
 * **Finding out levels and codes.**
 *
 * *Identifiers*: the question which levels a factor has, asked of a column of names.
 *
 * *Group testing*: a level is told where enough participants of the population have it. So "is it told of this set?" is a threshold on sets
 * of the attacker's choice. Take people out one by one, or change them for others, for as long as the level is still told; the set then
 * holds exactly enough who have it, and whoever cannot be taken out has it; whoever can stand in for one of these has it too. Two
 * questions a person, and everybody's level is known.
 *
 * *Impossible codes*: a problem with the records is told by a closed code. That a code is impossible among a population's rows says
 * that somebody there has a code which the plan did not name: of one row, which one it has.
 */
import { matches, random, type Attack, type Recovered } from './attack.ts';
import { planOf, two } from './plans.ts';
import { policyWith, Run, Site, type Loosened } from './site.ts';

const OUTCOME = '{kind: continuous, variable: y}';

async function identifiers(loosened: Loosened): Promise<Recovered> {
  const next = random(3);
  const names = Array.from({ length: 48 }, (_, i) => `name-${1000 + Math.floor(9000 * next())}-${i}`);
  const y = names.map(() => Math.round(100 * next()));
  const site = new Site({ name: names, y }, { policy: policyWith(loosened) });
  const plan = planOf({
    outcome: OUTCOME,
    analyses: { a: two('family: gaussian, adjust: [factor(name)]', ', pool: {term: factor(name)x}') },
  });
  const told = await (await Run.open(site, plan))?.levels(['name']);
  await site.stop();
  const levels = told?.$case === 'factorLevels' ? told.value.variables[0]!.levels : [];
  const texts = levels.map(({ code }) => code?.value);
  return { recovered: names.filter((name) => texts.includes(name)).length, of: names.length };
}

const N = 60;
/** Every set has as many people as the policy asks of an analysis. */
const LEAST = 20;

async function groupTesting(loosened: Loosened): Promise<Recovered> {
  const next = random(29);
  const pid = Array.from({ length: N }, (_, i) => i + 1);
  const ward = pid.map(() => (next() < 0.12 ? 'b' : 'a'));
  const y = pid.map(() => Math.round(100 * next()));
  const site = new Site({ pid, ward, y }, { policy: policyWith(loosened) });
  const told = async (set: ReadonlySet<number>): Promise<boolean> => {
    const plan = planOf({
      population: `pid in (${[...set].join(', ')})`,
      outcome: OUTCOME,
      analyses: { a: two('family: gaussian, adjust: [factor(ward)]', ', pool: {term: factor(ward)b}') },
    });
    const levels = await (await Run.open(site, plan))?.levels(['ward']);
    if (levels?.$case !== 'factorLevels') return false;
    return levels.value.variables[0]!.levels.some(({ code }) => code?.value === 'b');
  };
  const set = new Set(pid);
  const having = new Set<number>();
  const without = new Set<number>();
  const swapped = (out: number, into: number): Set<number> =>
    new Set([...set].filter((other) => other !== out)).add(into);
  // Until the level is no longer told: the set before held exactly enough who have it, and whoever went out is one of them.
  let outside = 0;
  for (let tries = 0; tries < 4 * N && having.size === 0; tries++) {
    const [out] = set;
    if (out === undefined) break;
    if (set.size > LEAST) {
      set.delete(out);
      if (await told(set)) continue;
      set.add(out);
      having.add(out);
    } else {
      while (set.has(1 + (outside % N))) outside++;
      const into = 1 + (outside++ % N);
      if (await told(swapped(out, into))) {
        set.delete(out);
        set.add(into);
      } else {
        having.add(out);
        without.add(into);
      }
    }
  }
  const [one] = having;
  const [other] = without;
  if (one !== undefined && other !== undefined) {
    for (const person of pid) {
      if (person === one || person === other) continue;
      const test = set.has(person) ? swapped(person, other) : swapped(one, person);
      ((await told(test)) === set.has(person) ? without : having).add(person);
    }
  }
  await site.stop();
  const truth = ward.map((level) => (level === 'b' ? 1 : 0));
  // Where nothing is told of any set there is nothing to go by.
  if (having.size + without.size < N) return { recovered: 0, of: N };
  return matches(
    pid.map((person) => (having.has(person) ? 1 : without.has(person) ? 0 : null)),
    truth,
    0,
  );
}

async function impossibleCodes(loosened: Loosened): Promise<Recovered> {
  const next = random(41);
  const pid = Array.from({ length: 12 }, (_, i) => i + 1);
  const stage = pid.map(() => Math.floor(3 * next()));
  const y = pid.map(() => Math.round(100 * next()));
  const site = new Site({ pid, stage, y }, { policy: policyWith(loosened) });
  const found: (number | null)[] = [];
  for (const person of pid) {
    let stageFound: number | null = null;
    const impossible: boolean[] = [];
    for (const left of [0, 1, 2]) {
      const levels = [0, 1, 2].filter((code) => code !== left);
      const plan = planOf({
        population: `pid == ${person}`,
        outcome: OUTCOME,
        levels: `{stage: [${levels.join(', ')}]}`,
        analyses: {
          a: two('family: gaussian, adjust: [factor(stage)]', `, pool: {term: factor(stage)${levels[1]}}`),
        },
      });
      const [answer] = (await (await Run.open(site, plan))?.stageOne(['a'])) ?? [];
      impossible.push(answer?.$case === 'dataProblem');
    }
    if (impossible.filter(Boolean).length === 1) stageFound = impossible.indexOf(true);
    found.push(stageFound);
  }
  await site.stop();
  return matches(found, stage, 0);
}

export const attacks: readonly Attack[] = [
  {
    name: 'levels of an identifier',
    rule: '`smallest_cell` (of levels)',
    off: () => identifiers({ smallest_cell: null }),
    on: () => identifiers({}),
  },
  {
    name: 'one-hot selector in the population: impossible codes of one row',
    rule: '`participants.minimum`, `smallest_cell` (of populations), `differencing`',
    off: () => impossibleCodes({ participants: { minimum: null }, smallest_cell: null, differencing: null }),
    on: () => impossibleCodes({}),
  },
  {
    name: 'group testing by the levels that are told',
    rule: '`smallest_cell` (of populations), `differencing`',
    off: () => groupTesting({ smallest_cell: null, differencing: null }),
    on: () => groupTesting({}),
  },
];
