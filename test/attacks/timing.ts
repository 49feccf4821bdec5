/**
 * **What a refusal tells besides its code.** Nineteen participants fail the rule that asks for twenty; three fail it, and four rules more. The
 * refusal names one. Seen from outside are the time that it takes, which is that of the flushes to disk, and the size of the log,
 * which every message carries. An agent that logged each failed rule by itself would tell by both how many failed; so the attack
 * counts flushes, as a clock without noise, and reads the sizes, and tells three participants from nineteen.
 *
 * `off` counts as if the rules that the site's own log names had been logged one by one.
 */
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { hasBody } from '@concordat/shared/log/entry.ts';
import { normal, random, type Attack, type Recovered } from './attack.ts';
import { planOf, two } from './plans.ts';
import { Run, Site } from './site.ts';

const N = 60;
const ROUNDS = 24;

async function sizes(seen: 'outside' | 'rules'): Promise<Recovered> {
  const next = random(83);
  const pid = Array.from({ length: N }, (_, i) => i + 1);
  const value = (): number => Number(normal(next).toFixed(4));
  const site = new Site({ pid, x: pid.map(value), y: pid.map(value) });
  const few: boolean[] = [];
  const observed: string[] = [];
  for (let k = 0; k < ROUNDS; k++) {
    few.push(next() < 0.5);
    // Another set in each round.
    const population = `pid > ${k} and pid <= ${k + (few[k] === true ? 3 : 19)}`;
    const plan = planOf({
      population,
      outcome: '{kind: continuous, variable: y}',
      analyses: { a: two('family: gaussian, adjust: [x]', ', pool: {term: x}') },
    });
    const run = await Run.open(site, plan);
    const flushes = site.flushes;
    const entries = site.log.entries.length;
    await run?.stageOne(['a']);
    const taken = site.flushes - flushes;
    // The next message's checkpoint: the log as it is after this refusal.
    await site.ask([run!.task({ $case: 'runClosed', value: {} }, { round: 2 })]);
    const size = SiteMessage.decode(site.sent.at(-1)!.body).header!.checkpoint!.size;
    const refused = site.log.entries.slice(entries).find(({ kind }) => kind === 'refused');
    const rules =
      refused !== undefined && hasBody(refused)
        ? (JSON.parse(Buffer.from(site.log.body(refused)).toString('utf8')) as readonly unknown[]).length
        : 0;
    observed.push(seen === 'rules' ? `${rules}` : `${taken} flushes, ${size - entries} entries`);
  }
  await site.stop();
  // What was seen of a small set and never of a large one, or the other way, is told apart.
  const bySight = Map.groupBy(few.keys(), (k) => observed[k]!);
  const recovered = [...bySight.values()].filter(
    (rounds) => new Set(rounds.map((k) => few[k])).size === 1 && rounds.length < ROUNDS,
  );
  return { recovered: recovered.flat().length, of: ROUNDS };
}

export const attacks: readonly Attack[] = [
  {
    name: 'time of a refusal, and size of the log after it',
    rule: 'one entry, whatever failed',
    off: () => sizes('rules'),
    on: () => sizes('outside'),
  },
];
