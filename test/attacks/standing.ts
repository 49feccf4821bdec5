/**
 * **Who asks, for what, and when.** Each tries to have a question answered that should not be, and counts the numbers that it is told.
 *
 * *Plan substitution*: a custodian approved a plan; another is sent under its run, and the same id with other contents as a new run.
 * *Roster*: the same plan once more with one site fewer. Of the sums S(A, B, C) − S(A, B) is C's own part, for which no single site's
 * answer is needed; the same again under a plan with another title.
 * *Downgrade*: a run that began under one policy is asked on after the thresholds were loosened for another purpose.
 * *Second coordinator*: tasks signed with another key than the pinned one.
 * *Replays*: a task of another site, and one of a run that is over.
 * *Repeats*: a task once more after one participant was added: X'y then differs by that participant's row.
 */
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { signStatement } from '@concordat/shared/agreement/statements.ts';
import { putStatement } from '@concordat/node-agent/agreement/statement-files.ts';
import { makeSealedKey, openSealedKey } from '@concordat/web/sealed-keys.ts';
import type { Payload } from '@concordat/node-agent/fit/draft.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';
import { matches, none, normal, random, type Attack, type Recovered } from './attack.ts';
import { ARM, linearSums, planOf, two } from './plans.ts';
import { newFolder, policyWith, Run, Site, type Records } from './site.ts';

const N = 80;
const MODEL = two('family: gaussian, adjust: [age]');
const PLAN = planOf({ treatment: ARM, outcome: '{kind: continuous, variable: y}', analyses: { a: MODEL } });
/** What nobody approved: another outcome, under the same id. */
const OTHER = PLAN.replace('variable: y', 'variable: drinks');
const NUMBERS = 3;

function trial(seed = 53): Record<'arm' | 'age' | 'y' | 'drinks', number[]> {
  const next = random(seed);
  const arm = Array.from({ length: N }, (_, i) => i % 2);
  return {
    arm,
    age: arm.map(() => 40 + Math.floor(40 * next())),
    y: arm.map(() => Number((130 + 15 * normal(next)).toFixed(1))),
    drinks: arm.map(() => Math.floor(20 * next())),
  };
}

function told(payloads: readonly (Payload | null)[] | undefined): Recovered {
  const numbers = (payloads ?? []).map((payload) =>
    payload?.$case === 'stageOneEstimate' ? payload.value.estimates.length : 0,
  );
  return { recovered: Math.max(0, ...numbers), of: NUMBERS };
}

/** Estimates of analysis `a` in a run of its own. */
async function answered(site: Site, run: Run): Promise<Recovered> {
  await site.ask([run.offer()]);
  return told(await run.stageOne(['a']));
}

async function substitution(approval: Agreement['approval']): Promise<Recovered> {
  const passphrase = 'attack suite passphrase';
  const keys = newFolder();
  const { publicKey } = await makeSealedKey(keys, 'Ada', passphrase);
  const ada = await openSealedKey(keys, 'Ada', passphrase);
  const site = new Site(trial(), { agreement: { approval, custodians: [{ name: 'Ada', key: publicKey }] } });
  const run = new Run(site, PLAN);
  const plan = toHex(sha256(PLAN));
  await site.ask([run.offer()]);
  if (approval === 'each-plan') {
    const data = await site.snapshot();
    const body = { kind: 'approve', run: toHex(run.id), plan, sites: ['A'], minimum: 1 } as const;
    const whole = { ...body, data, agreement: site.agreement.digest, note: '' };
    putStatement(site.state, signStatement(whole, site.study, ada, new Date('2026-01-01T00:00:00Z')));
    await site.decided();
  }
  const honest = told(await run.stageOne(['a']));
  if (honest.recovered !== NUMBERS) throw new Error('the plan that was approved is not answered');
  const sameRun = await answered(site, new Run(site, OTHER, { id: run.id }));
  const sameId = await answered(site, new Run(site, OTHER));
  await site.stop();
  return { recovered: Math.max(sameRun.recovered, sameId.recovered), of: NUMBERS };
}

interface Shrinking {
  /** The other sites forgot the first run. */
  readonly forget?: boolean;
  readonly retitled?: boolean;
}

async function roster({ forget = false, retitled = false }: Shrinking): Promise<Recovered> {
  const coordinator = signingIdentity(generateSigningKey(), 'coordinator');
  const names = ['A', 'B', 'C'];
  const records = names.map((_, i) => trial(60 + i));
  const agreement: Partial<Agreement> = { approval: 'matching-template', templates: ['plan.yaml'] };
  const sites = names.map(
    (study, i) => new Site(records[i]!, { study, coordinator, agreement, templates: { 'plan.yaml': PLAN } }),
  );
  /** Σ age and Σ y over the sites, if each answers. */
  const sums = async (taking: readonly Site[], plan: string): Promise<number[] | null> => {
    const total = [0, 0];
    for (const site of taking) {
      const others = taking
        .filter((other) => other !== site)
        .map(({ study, identity }) => ({ study, key: identity.publicKey }));
      const run = await Run.open(site, plan, { others, minimum: 2 });
      const [payload] = (await run?.stageOne(['a'])) ?? [];
      if (payload?.$case !== 'stageOneEstimate') return null;
      const { xx, xy } = linearSums(payload.value);
      total[0]! += xx[0]![2]!;
      total[1]! += xy[0]!;
    }
    return total;
  };
  const all = await sums(sites, PLAN);
  if (forget) for (const site of sites) await site.restart('nothing');
  const fewer = await sums(sites.slice(0, 2), retitled ? PLAN.replace('id:', 'title: again\nid:') : PLAN);
  for (const site of sites) await site.stop();
  const own = records[2]!;
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const truth = [sum(own.age), sum(own.y)];
  if (all === null || fewer === null) return none(truth.length);
  return matches(
    all.map((value, j) => value - fewer[j]!),
    truth,
    0.01,
  );
}

async function downgrade(begunBefore: boolean): Promise<Recovered> {
  const site = new Site(trial());
  // Fourteen people.
  const few = PLAN.replace('treatment', "population: 'age > 72'\ntreatment");
  const loosened = policyWith({
    participants: { minimum: null, per_arm: null },
    parameters_per_participant: null,
    smallest_cell: null,
    leverage: 0.9,
    dominance: null,
    differencing: null,
  });
  let run = begunBefore ? await Run.open(site, few) : null;
  site.amend(loosened);
  run ??= await Run.open(site, few);
  const result = told(await run?.stageOne(['a']));
  await site.stop();
  return result;
}

async function secondCoordinator(pinned: boolean): Promise<Recovered> {
  const intruder = signingIdentity(generateSigningKey(), 'intruder');
  const site = new Site(trial(), pinned ? {} : { coordinator: intruder });
  const result = await answered(site, new Run(site, PLAN, { signer: intruder }));
  await site.stop();
  return result;
}

async function otherSites(study: string): Promise<Recovered> {
  const site = new Site(trial(), { study });
  const run = new Run(site, PLAN);
  await site.ask([run.offer({ study: 'B' })]);
  const question = run.task(
    { $case: 'stageOneQuestion', value: { agreedLevels: [] } },
    { study: 'B', analysis: 'a', round: 1 },
  );
  const result = told(await site.ask([question]));
  await site.stop();
  return result;
}

/** A run is over; its offer, and a question that was never asked, are sent again. */
async function overRuns(forget: boolean): Promise<Recovered> {
  const site = new Site(trial());
  const run = new Run(site, PLAN);
  await site.ask([run.offer()]);
  await site.ask([run.task({ $case: 'runClosed', value: {} }, { round: 9 })]);
  await site.restart(forget ? 'nothing' : 'log');
  await site.ask([run.offer()]);
  const result = told(await run.stageOne(['a']));
  await site.stop();
  return result;
}

async function repeats(forget: boolean): Promise<Recovered> {
  const whole = trial();
  const without: Records = Object.fromEntries(
    Object.entries(whole).map(([name, values]) => [name, values.slice(0, -1)]),
  );
  // Differencing is another rule's: here the same question alone is at stake.
  const site = new Site(without, { policy: policyWith({ differencing: null }) });
  const run = new Run(site, PLAN);
  const offer = run.offer();
  const question = run.task(
    { $case: 'stageOneQuestion', value: { agreedLevels: [] } },
    { analysis: 'a', round: 1 },
  );
  const ask = async () => {
    await site.ask([offer]);
    const [payload] = await site.ask([question]);
    return payload?.$case === 'stageOneEstimate' ? linearSums(payload.value) : null;
  };
  const before = await ask();
  site.write(whole);
  if (forget) await site.restart('nothing');
  const after = await ask();
  await site.stop();
  const truth = [whole.arm, whole.age, whole.y].map((values) => values.at(-1)!);
  if (before === null || after === null) return none(truth.length);
  const rowOf = ({ xx, xy }: typeof before): number[] => [xx[0]![1]!, xx[0]![2]!, xy[0]!];
  // Nothing was added: the bytes are the same.
  if (Math.abs(after.n - before.n) < 0.5) return none(truth.length);
  return matches(
    rowOf(after).map((value, j) => value - rowOf(before)[j]!),
    truth,
    0.02,
  );
}

export const attacks: readonly Attack[] = [
  {
    name: 'another plan under an approved run, or under its id',
    rule: 'approval of a digest',
    off: () => substitution('automatic'),
    on: () => substitution('each-plan'),
  },
  {
    name: 'the same plan with one site fewer',
    rule: 'roster, remembered in the log',
    off: () => roster({ forget: true }),
    on: () => roster({}),
  },
  {
    name: 'the same analyses with one site fewer, in a plan with another title',
    rule: 'roster, by what is asked',
    off: () => roster({ forget: true, retitled: true }),
    on: () => roster({ retitled: true }),
  },
  {
    name: 'a run goes on under a policy that was loosened since',
    rule: 'the stricter of two policies',
    off: () => downgrade(false),
    on: () => downgrade(true),
  },
  {
    name: 'a second coordinator',
    rule: 'pinned key',
    off: () => secondCoordinator(false),
    on: () => secondCoordinator(true),
  },
  {
    name: 'another site’s task',
    rule: 'address of a task',
    off: () => otherSites('B'),
    on: () => otherSites('A'),
  },
  {
    name: 'tasks of a run that is over',
    rule: 'closed runs, remembered in the log',
    off: () => overRuns(true),
    on: () => overRuns(false),
  },
  {
    name: 'the same question after an update',
    rule: 'same question, same bytes',
    off: () => repeats(true),
    on: () => repeats(false),
  },
];
