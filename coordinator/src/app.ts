/** One run of a plan over the configured sites: from the plan's text to the files in the output folder. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { DEFAULT_POLICY, OPEN_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { cannotListen, parseAddress } from '@concordat/shared/plan/address.ts';
import { planDigest } from '@concordat/shared/plan/digest.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { validateResult } from '@concordat/shared/plan/validate-result.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { fromHex, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { PlanSignature } from '@concordat/shared/wire/offers.ts';
import { signingIdentity } from '@concordat/shared/wire/signing.ts';

import type { CoordinatorConfig } from './config.ts';
import { Desk } from './exchange/desk.ts';
import { startExchangeServer, type RunningServer } from './exchange/server.ts';
import { healthServer } from './http/health.ts';
import type { Logger } from './logger.ts';
import { figures } from './report/figures.ts';
import { renderReport } from './report/report.ts';
import type { SiteState } from './runs/answers.ts';
import { RunEngine, type Progress } from './runs/engine.ts';
import type { RunOutcome } from './runs/program.ts';
import { Journal, type RunRecord } from './store/journal.ts';

export interface CoordinatorOptions {
  readonly config: CoordinatorConfig;
  readonly planText: string;
  /** By the statistician who asks; null where the plan is not signed. */
  readonly signature: PlanSignature | null;
  /** Where the plan came from, for messages. */
  readonly planPlace: string;
  /** Folder for result.json, report.html and figures/. */
  readonly out: string;
  readonly software: string;
  readonly progress: (event: CoordinatorProgress) => void;
  readonly logger: Logger;
  /** Ends the run in order where it is; the same command goes on from there. */
  readonly stop: AbortSignal;
}

export type CoordinatorProgress =
  | Progress
  | { readonly event: 'listening'; readonly port: number; readonly sites: number }
  | { readonly event: 'site'; readonly study: string };

export async function runCoordinator(options: CoordinatorOptions): Promise<Result> {
  const { config, planText, planPlace, out, software, progress, logger } = options;
  const plan = parsePlan(planText, planPlace);
  const sites = chooseSites(config, plan.studies ?? 'all', planPlace);
  const identity = signingIdentity(readText(config.signing_key), config.signing_key);
  const tls = {
    ca: readText(config.tls.ca),
    certificate: readText(config.tls.certificate),
    key: readText(config.tls.key),
  };
  const now = (): Date => new Date();
  // First: it is locked, so that no second coordinator writes to the log.
  const journal = new Journal(config.state);
  const log = new MessageLog({
    fs,
    directory: config.log,
    origin: 'concordat/coordinator',
    identity,
    now,
    randomBytes: (n) => randomBytes(n),
  });
  const roster = Roster.encode({
    sites: sites.map(({ study, key }) => ({ study, key: fromHex(key) })),
    minimumStudies: plan.minimum_studies ?? 1,
    masked: false,
  }).finish();
  const run = openRun(journal, planText, options.signature, roster, planPlace, now);
  log.append({
    kind: 'start',
    run: toHex(run.id),
    detail: { software, plan: planDigest(Buffer.from(planText)), roster: toHex(sha256(roster)) },
  });

  const desk = new Desk();
  const contacts = new Map<string, string>();
  const engine = new RunEngine(
    {
      journal,
      log,
      identity,
      keys: new Map(sites.map(({ study, key }) => [study, fromHex(key)])),
      desk,
      progress,
    },
    run,
  );
  // First, so that the open round of a resumed run is at the desk before an agent can call.
  const outcomeOfRun = engine.run();
  outcomeOfRun.catch(() => undefined);
  const health =
    config.health === undefined
      ? null
      : healthServer(() => sites.map(({ study }) => ({ study, lastSeen: contacts.get(study) ?? null })));
  let server: RunningServer | null = null;
  try {
    server = await startExchangeServer({
      listen: config.listen,
      ...tls,
      studies: new Map(config.sites.map(({ study, certificate }) => [certificate, study])),
      desk,
      accept: (study, reply) => engine.accept(study, reply),
      waiting: (study, tasks) => engine.waitsForCustodian(study, tasks),
      seen: (study) => {
        if (!contacts.has(study)) progress({ event: 'site', study });
        contacts.set(study, now().toISOString());
      },
      refused: (study, code) => {
        logger('warn', { event: 'exchange refused', code, ...(study === null ? {} : { study }) });
      },
    });
    if (health !== null && config.health !== undefined) {
      const address = config.health;
      await health.listen(parseAddress(address)).catch((error: unknown) => {
        throw cannotListen(address, error);
      });
    }
    progress({ event: 'listening', port: server.port, sites: sites.length });
    const outcome = await Promise.race([outcomeOfRun, stopped(options.stop)]);
    const finished = journal.finishRun(run.id, now().toISOString());
    const result = assemble(run, planText, outcome, finished, software);
    publish(out, result, outcome, planText);
    log.append({ kind: 'result', run: toHex(run.id), detail: { result: toHex(sha256(resultText(result))) } });
    journal.markPublished(run.id);
    return result;
  } finally {
    await server?.stop();
    await health?.close();
    log.append({ kind: 'stop', run: toHex(run.id) });
    log.close();
    journal.close();
  }
}

function stopped(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => {
      reject(
        new ConcordatError(
          'process/stopped',
          'the coordinator was told to stop before the run was finished',
          {
            remedy: 'give the same command again to go on where it stopped',
          },
        ),
      );
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** Goes on with an unfinished run of the same plan and roster; starts a new one otherwise. */
function openRun(
  journal: Journal,
  planText: string,
  signature: PlanSignature | null,
  roster: Uint8Array,
  place: string,
  now: () => Date,
): RunRecord {
  const unfinished = journal.unfinishedRun();
  if (unfinished !== null) {
    if (unfinished.plan === planText && toHex(unfinished.roster) === toHex(roster)) return unfinished;
    throw new ConcordatError(
      'run/conflict',
      'the journal holds an unfinished run of another plan or roster',
      {
        place,
        remedy: 'finish that run with its own plan and sites, or give this one another state file',
      },
    );
  }
  const run = {
    id: new Uint8Array(randomBytes(16)),
    plan: planText,
    roster,
    started: now().toISOString(),
    signature,
  };
  journal.createRun(run);
  return run;
}

function chooseSites(
  config: CoordinatorConfig,
  studies: 'all' | readonly string[],
  place: string,
): CoordinatorConfig['sites'] {
  if (studies === 'all') return config.sites;
  const unknown = studies.filter((study) => !config.sites.some((site) => site.study === study));
  if (unknown.length > 0) {
    throw new ConcordatError(
      'plan/inconsistent',
      `no site has the ${unknown.length === 1 ? 'study' : 'studies'} ${unknown.join(', ')}`,
      {
        place: `${place} studies`,
        remedy: `the sites are: ${config.sites.map(({ study }) => study).join(', ')}`,
      },
    );
  }
  return config.sites.filter(({ study }) => studies.includes(study));
}

function assemble(
  run: RunRecord,
  planText: string,
  outcome: RunOutcome,
  finished: string,
  software: string,
): Result {
  return {
    result: 1,
    plan: { id: outcome.plan.id, sha256: planDigest(Buffer.from(planText)) },
    run: {
      id: toHex(run.id),
      started: run.started,
      finished,
      software,
      policy: commonPolicy(outcome.sites),
      sites: outcome.sites.map(({ policy: _policy, ...site }) => site),
    },
    analyses: outcome.analyses,
  };
}

/** The policy in force where all sites that answered have the same; null where each has its own. */
function commonPolicy(sites: readonly SiteState[]): Result['run']['policy'] {
  const policies = sites.flatMap(({ policy }) => (policy === undefined ? [] : [policy]));
  const first = policies[0];
  if (first === undefined || policies.some(({ sha256: digest }) => digest !== first.sha256)) return null;
  const known = [DEFAULT_POLICY, OPEN_POLICY].find(
    (policy) => toHex(sha256(JSON.stringify(policy))) === first.sha256,
  );
  return { name: known?.name ?? 'custom', sha256: first.sha256, open: first.open };
}

function publish(out: string, result: Result, outcome: RunOutcome, planText: string): void {
  validateResult(result);
  const input = { result, plan: outcome.plan, planText };
  const folder = join(out, 'figures');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  for (const { name, svg } of figures(input)) writeWhole(join(folder, name), svg);
  writeWhole(join(out, 'report.html'), renderReport(input));
  writeWhole(join(out, 'result.json'), resultText(result));
}

function resultText(result: Result): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

/** A reader sees the old file or the new one, never a part. */
function writeWhole(file: string, text: string): void {
  fs.writeFileSync(`${file}.part`, text, { flush: true });
  fs.renameSync(`${file}.part`, file);
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}
