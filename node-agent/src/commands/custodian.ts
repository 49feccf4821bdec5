/** What a custodian does at the command line: look at plans and answers, decide, sign. */
import * as fs from 'node:fs';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

import type { CustodianKey, ObjectionName } from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { LogFolder } from '@concordat/shared/log/log-folder.ts';
import { newPassphrase, passphraseFor } from '@concordat/web/passphrase.ts';
import { makeSealedKey, openSealedKey, sealedKeys } from '@concordat/web/sealed-keys.ts';
import type { Role } from '@concordat/web/sessions.ts';

import { planExplanationLines, sitesLine } from '../agreement/explain.ts';
import { addCustodian } from '../agreement/template.ts';
import { readAgentConfig, readSigningKey } from '../app.ts';
import { keysFolder, type AgentConfig } from '../config.ts';
import {
  isApprovable,
  isRefusable,
  isWaiting,
  type CustodianDesk,
  type Decision,
  type OfferedPlan,
  type WaitingRelease,
} from '../custodian/desk.ts';
import { openDesk } from '../custodian/open-desk.ts';
import { taken } from '../custodian/taken.ts';
import { payloadLines } from '@concordat/audit/answers.ts';
import { WorkerPool } from '../fit/pool.ts';

export interface Common {
  readonly config: string;
}

export interface Signing extends Common {
  /** The custodian's name; the only one that has a key here, where left out. */
  readonly as?: string;
  readonly passphraseFile?: string;
  readonly note?: string;
}

export interface Making extends Common {
  readonly passphraseFile?: string;
}

/** Digits of a digest that are shown, and enough to name one. */
const SHORT = 12;

/** What waits in full; of the others a line each, or the one that is named in full. */
export async function plans(digest: string | undefined, { config: file }: Common): Promise<void> {
  await atDesk(file, (desk) => {
    if (digest !== undefined) {
      showInFull(chosen(desk, digest, () => true));
      return;
    }
    const offered = desk.plans();
    if (offered.length === 0) console.log('No plan was offered yet.');
    const waiting = offered.filter(isWaiting);
    waiting.forEach(showInFull);
    if (waiting.length > 0)
      console.log(
        'Next: concordat agent preview DIGEST, then approve DIGEST or refuse DIGEST --objection …\n',
      );
    const others = Map.groupBy(
      offered.filter((plan) => !isWaiting(plan)),
      ({ digest: plan }) => plan,
    );
    // Those with a run that goes on come first, then the newest.
    const listed = [...others.values()].toSorted((a, b) => Number(b.some(isOpen)) - Number(a.some(isOpen)));
    for (const [newest, ...earlier] of listed) {
      const { title, id } = newest!.explanation;
      console.log(`${headline(newest!, earlier)}  ${title} (${id})`);
    }
    if (listed.length > 0) console.log('\nIn full: concordat agent plans DIGEST');
  });
}

const isOpen = ({ open }: OfferedPlan): boolean => open;

function showInFull(plan: OfferedPlan): void {
  console.log(headline(plan));
  for (const line of planExplanationLines(plan.explanation)) console.log(`  ${line}`);
  console.log('');
}

/** How a plan stands, by its newest run, and how its runs do. */
function headline(newest: OfferedPlan, earlier: readonly OfferedPlan[] = []): string {
  const by = newest.decidedBy === null ? '' : ` (${newest.decidedBy})`;
  const runs = [newest, ...earlier];
  const open = runs.filter(isOpen).length;
  const standing = isWaiting(newest)
    ? 'waiting'
    : `${newest.decision ?? 'not decided'}${by}, ${
        runs.length === 1 ? `run ${open === 1 ? 'open' : 'closed'}` : `${runs.length} runs, ${open} open`
      }`;
  return `${newest.digest.slice(0, SHORT)}  ${standing}  offered ${newest.received}`;
}

export async function preview(digest: string, { config: file }: Common): Promise<void> {
  await atDesk(file, async (desk) => {
    const plan = chosen(desk, digest, () => true);
    console.log(`${plan.explanation.title}: what this site would send first. Nothing is sent now.\n`);
    for (const { analysis, payload, terms, remarks } of await desk.preview(plan.digest)) {
      console.log(analysis === '' ? 'levels of factors' : analysis);
      const forCustodian = remarks.map((remark) => `for you alone: ${remark}`);
      for (const line of [...payloadLines(payload, terms), ...forCustodian]) console.log(`  ${line}`);
      console.log('');
    }
  });
}

export async function approve(digest: string, options: Signing): Promise<void> {
  await atDesk(options.config, async (desk, config) => {
    const plan = chosen(desk, digest, isApprovable);
    const standing = await desk.standingApproval(plan);
    if (standing !== null) {
      const { custodian: name, time } = standing;
      console.log(
        `${name} approved this plan on ${time}, for these sites and records under this agreement: nothing more is signed.`,
      );
      if (isWaiting(plan)) console.log(NOT_YET);
      return;
    }
    if (!isApprovable(plan)) throw settled(plan);
    const { digest: of, run, open, offer, agreement, explanation } = plan;
    const shown = { offer, agreement: agreement.digest, data: await desk.records() };
    console.log(`${explanation.title} (${explanation.id})`);
    console.log(`  asked by: ${explanation.asker}`);
    console.log(sitesLine(explanation));
    console.log(`  agreement: ${agreement.name}, SHA-256 ${agreement.digest.slice(0, SHORT)}…`);
    const note = options.note ?? '';
    await decide({ kind: 'approve', plan: of, run, shown, note }, desk, config, options);
    if (plan.decision === 'refused')
      console.log(
        `This replaces the refusal of ${plan.decidedBy}: ${
          open
            ? 'what the run asks from now on is answered.'
            : 'a run that went on without this site stays without it; the next run of the plan is answered.'
        }`,
      );
  });
}

export async function refuse(
  digest: string,
  options: Signing & { readonly objection: ObjectionName },
): Promise<void> {
  await atDesk(options.config, async (desk, config) => {
    const plan = chosen(desk, digest, isRefusable);
    if (!isRefusable(plan)) throw settled(plan);
    const { objection, note = '' } = options;
    await decide(
      { kind: 'refuse', plan: plan.digest, run: plan.run, objection, note },
      desk,
      config,
      options,
    );
  });
}

export async function releases({ config: file }: Common): Promise<void> {
  await atDesk(file, (desk) => {
    const waiting = desk.releases();
    if (waiting.length === 0) console.log('No answer waits for you.');
    waiting.forEach(showAnswer);
  });
}

function showAnswer({ task, analysis, round, asked, payload, terms }: WaitingRelease): void {
  console.log(`${task.slice(0, SHORT)}  ${analysis}, round ${round}: ${asked}`);
  for (const line of payloadLines(payload, terms)) console.log(`  ${line}`);
  console.log('');
}

/** Messages that are shown at once. */
const SHOWN = 20;

export async function left({ config: file, from = '1' }: Common & { readonly from?: string }): Promise<void> {
  await atDesk(file, (desk) => {
    const start = Math.max(1, Number.parseInt(from, 10) || 1);
    const { messages, total } = desk.left(start - 1, SHOWN);
    console.log(`${total} messages left this site, the newest first.`);
    messages.forEach(({ n, time, analysis, round, payload, terms }, i) => {
      console.log(
        `\n${start + i}. ${time}  ${analysis === '' ? 'the plan' : analysis}, round ${round}  (entry ${n} of the log)`,
      );
      for (const line of payloadLines(payload, terms)) console.log(`  ${line}`);
    });
    if (start - 1 + messages.length < total) console.log(`\nOlder ones: --from ${start + messages.length}`);
  });
}

export const release = (task: string, options: Signing): Promise<void> => letGo('release', task, options);
export const withhold = (task: string, options: Signing): Promise<void> => letGo('withhold', task, options);

async function letGo(kind: 'release' | 'withhold', prefix: string, options: Signing): Promise<void> {
  await atDesk(options.config, async (desk, config) => {
    const answer = only(
      desk.releases().filter((waiting) => waiting.task.startsWith(prefix)),
      prefix,
    );
    showAnswer(answer);
    const { task, held: payload } = answer;
    await decide({ kind, task, payload, note: options.note ?? '' }, desk, config, options);
  });
}

/** Makes a custodian's key, and names it in the agreement. */
export async function custodian(name: string, { config: file, passphraseFile }: Making): Promise<void> {
  const config = readAgentConfig(file);
  const text = readFileSync(config.agreement, 'utf8');
  refuseTaken(config, name, 'auditor');
  const folder = keysFolder(config, 'custodian');
  const passphrase = await newPassphrase(name, passphraseFile);
  const { publicKey } = await makeSealedKey(folder, name, passphrase);
  writeFileSync(`${config.agreement}.part`, addCustodian(text, { name, key: publicKey }));
  renameSync(`${config.agreement}.part`, config.agreement);
  console.log(`${name} may approve and refuse: the key ${publicKey} is named in ${config.agreement}.`);
  console.log(`The key itself is in ${folder}, sealed with the passphrase, which nobody can recover.`);
}

/** Makes an auditor's key. The agreement names no auditor: they decide nothing. */
export async function auditor(name: string, { config: file, passphraseFile }: Making): Promise<void> {
  const config = readAgentConfig(file);
  refuseTaken(config, name, 'custodian');
  const folder = keysFolder(config, 'auditor');
  const { publicKey } = await makeSealedKey(folder, name, await newPassphrase(name, passphraseFile));
  console.log(`${name} may read the log on the agent's page, and nothing else, with the key ${publicKey}.`);
  console.log(
    `The key itself is in ${folder}, sealed with the passphrase, which nobody can recover. Its file taken away, ${name} is signed out.`,
  );
}

/** Who signs in is told apart by name alone. */
function refuseTaken(config: AgentConfig, name: string, role: Role): void {
  if (!sealedKeys(keysFolder(config, role)).some((known) => known.name === name)) return;
  throw new ConcordatError('enrolment/exists', `${name} is the name of another here, with the role ${role}`, {
    place: keysFolder(config, role),
    remedy: 'choose another name; a custodian sees all that an auditor sees',
  });
}

const NOT_YET = 'The agent does not run, or is busy: it takes the statement as soon as it can.';

async function decide(
  decision: Decision,
  desk: CustodianDesk,
  config: AgentConfig,
  options: Signing,
): Promise<void> {
  const key = await custodianKey(config, options);
  const statement = await desk.decide(decision, key);
  const log = new LogFolder(fs, config.log);
  const fault = await taken(() => log.entries(), statement);
  if (fault === null) console.log(`Signed as ${key.name}, and taken by the agent.`);
  else if (fault === 'not yet') console.log(`Signed. ${NOT_YET}`);
  else {
    throw new ConcordatError('approval/unknown', `the agent did not take the statement: ${fault}`, {
      remedy: '`concordat agent plans` shows how things stand; decide again on what is there now',
    });
  }
}

/** Of a plan about which a custodian has nothing to say now. */
function settled(plan: OfferedPlan): ConcordatError {
  return new ConcordatError('approval/unknown', 'the plan does not wait for a decision', {
    place: headline(plan),
    remedy: 'when it is asked again and needs a decision, `concordat agent plans` lists it as waiting',
  });
}

async function custodianKey(config: AgentConfig, { as, passphraseFile }: Signing): Promise<CustodianKey> {
  const name = as ?? onlyCustodian(config);
  return openSealedKey(keysFolder(config, 'custodian'), name, await passphraseFor(name, passphraseFile));
}

function onlyCustodian(config: AgentConfig): string {
  const names = sealedKeys(keysFolder(config, 'custodian')).map(({ name }) => name);
  const [name, other] = names;
  if (name !== undefined && other === undefined) return name;
  throw name === undefined
    ? new ConcordatError('approval/not-custodian', 'no custodian has a key here', {
        remedy: 'make one with `concordat agent custodian NAME`',
      })
    : new ConcordatError(
        'approval/not-custodian',
        `several custodians have a key here: ${names.join(', ')}`,
        {
          remedy: 'say who you are with --as NAME',
        },
      );
}

async function atDesk(
  file: string,
  work: (desk: CustodianDesk, config: AgentConfig) => Promise<void> | void,
): Promise<void> {
  const config = readAgentConfig(file);
  const workers = new WorkerPool(1);
  try {
    await work(openDesk(config, readSigningKey(config), workers), config);
  } finally {
    await workers.close();
  }
}

/** Of the plan that a digest's or a run's first digits name, the run that is meant: one that fits, and that waits or goes on before others. */
function chosen(desk: CustodianDesk, prefix: string, fits: (plan: OfferedPlan) => boolean): OfferedPlan {
  const named = desk.plans().filter(({ digest, run }) => digest.startsWith(prefix) || run.startsWith(prefix));
  only([...new Set(named.map(({ digest }) => digest))], prefix);
  const fitting = named.filter(fits);
  return fitting.find(isWaiting) ?? fitting.find(isOpen) ?? fitting[0] ?? named[0]!;
}

function only<T>(found: readonly T[], prefix: string): T {
  const [first, second] = found;
  if (prefix.length < 4) {
    throw new ConcordatError('usage/invalid', 'a digest is named by four digits or more', { place: prefix });
  }
  if (first !== undefined && second === undefined) return first;
  throw new ConcordatError(
    'approval/unknown',
    second === undefined ? 'nothing of that digest is here' : 'several digests begin so',
    { place: prefix, remedy: '`concordat agent plans` and `concordat agent releases` list what there is' },
  );
}
