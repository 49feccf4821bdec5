/** One run of a plan over the sites: from the plan's text to the files in the output folder. Without a plan, only the service. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { planDigest } from '@concordat/shared/plan/digest.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { validateResult } from '@concordat/shared/plan/validate-result.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { assemble } from '@concordat/shared/runs/assemble.ts';
import type { RunOutcome } from '@concordat/shared/runs/program.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { PlanSignature } from '@concordat/shared/wire/offers.ts';

import { attest } from './attest.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Logger } from './logger.ts';
import { figures } from './report/figures.ts';
import { renderReport } from './report/report.ts';
import { RunEngine, type Progress } from './runs/engine.ts';
import { Service, type KnownSite, type ServiceEvent } from './service.ts';
import type { RunRecord } from './store/journal.ts';

export interface CoordinatorOptions {
  readonly config: CoordinatorConfig;
  readonly planText: string;
  /** By the statistician who asks; null where the plan is not signed. */
  readonly signature: PlanSignature | null;
  /** Where the plan came from, for messages. */
  readonly planPlace: string;
  /** Folder for result.json, result.intoto.json, report.html and figures/. */
  readonly out: string;
  readonly software: string;
  readonly progress: (event: CoordinatorProgress) => void;
  readonly logger: Logger;
  /** Ends the run in order where it is; the same command goes on from there. */
  readonly stop: AbortSignal;
}

export type CoordinatorProgress =
  | Progress
  | ServiceEvent
  | {
      readonly event: 'waiting for sites';
      /** Studies that the plan names and that are not enrolled. */
      readonly missing: readonly string[];
      /** How many more must enrol before the run can begin. */
      readonly needed: number;
    };

/** How often the registry is looked at for sites that are waited for, milliseconds: another process may admit them. */
const SITES_CHECK = 250;

/** Serves without a plan until told to stop: sites enrol, and their agents wait. */
export async function serveCoordinator(
  options: Pick<CoordinatorOptions, 'config' | 'software' | 'progress' | 'logger' | 'stop'>,
): Promise<void> {
  const service = new Service(options);
  try {
    service.log.append({ kind: 'start', detail: { software: options.software } });
    await service.listen();
    await stopped(options.stop).catch(() => undefined);
  } finally {
    await service.close(undefined);
  }
}

export async function runCoordinator(options: CoordinatorOptions): Promise<Result> {
  const { planText, planPlace, out, software, progress } = options;
  const plan = parsePlan(planText, planPlace);
  if (options.config.enrolment === null) checkListed(options.config, plan.studies ?? 'all', planPlace);
  const service = new Service(options);
  const { journal, log, refused, identity, desk } = service;
  let runId: string | undefined;
  try {
    const run = unfinishedRun(service, planText, planPlace) ?? (await newRun(service, plan, options));
    runId = toHex(run.id);
    log.append({
      kind: 'start',
      run: runId,
      detail: { software, plan: planDigest(Buffer.from(planText)), roster: toHex(sha256(run.roster)) },
    });
    const keys = new Map(Roster.decode(run.roster).sites.map(({ study, key }) => [study, key]));
    const engine = new RunEngine({ journal, log, refused, identity, keys, desk, progress }, run);
    // Before an agent can call, where nothing was waited for: the open round of a resumed run is at the desk.
    const outcomeOfRun = engine.run();
    outcomeOfRun.catch(() => undefined);
    service.take(
      (study, reply) => engine.accept(study, reply),
      (study, tasks) => engine.waitsForCustodian(study, tasks),
    );
    if (!service.listens) await service.listen();
    const outcome = await Promise.race([outcomeOfRun, stopped(options.stop)]);
    const finished = journal.finishRun(run.id, now().toISOString());
    const { started } = run;
    const result = assemble(outcome, planText, { id: runId, started, finished, software });
    const text = resultText(result);
    publish(out, result, outcome, planText);
    const attestation = attest(run, result, text, log, identity);
    writeWhole(join(out, 'result.intoto.json'), attestation);
    log.append({
      kind: 'result',
      run: runId,
      detail: { result: toHex(sha256(text)), attestation: toHex(sha256(attestation)) },
    });
    journal.markPublished(run.id);
    return result;
  } finally {
    await service.close(runId);
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

/** The run of this plan that was interrupted, with the roster that it began with; null where there is none. */
function unfinishedRun(service: Service, planText: string, place: string): RunRecord | null {
  const unfinished = service.journal.unfinishedRun();
  if (unfinished === null) return null;
  const known = new Map(service.known().map(({ study, key }) => [study, key]));
  const same = Roster.decode(unfinished.roster).sites.every(({ study, key }) =>
    sameBytes(known.get(study) ?? new Uint8Array(0), key),
  );
  if (unfinished.plan === planText && same) return unfinished;
  throw new ConcordatError('run/conflict', 'the journal holds an unfinished run of another plan or roster', {
    place,
    remedy: 'finish that run with its own plan and sites, or give this one another state file',
  });
}

/** Begins a run with the sites that the plan asks for, once they are there. */
async function newRun(
  service: Service,
  plan: WrittenPlan,
  { planText, signature, progress, stop }: CoordinatorOptions,
): Promise<RunRecord> {
  const sites = await rosterOf(service, plan, progress, stop);
  const run = {
    id: new Uint8Array(randomBytes(16)),
    plan: planText,
    roster: Roster.encode({
      sites: [...sites],
      minimumStudies: plan.minimum_studies ?? 1,
      masked: false,
    }).finish(),
    started: now().toISOString(),
    signature,
  };
  service.journal.createRun(run);
  return run;
}

async function rosterOf(
  service: Service,
  plan: WrittenPlan,
  progress: CoordinatorOptions['progress'],
  stop: AbortSignal,
): Promise<readonly KnownSite[]> {
  let told = '';
  const stopping = stopped(stop);
  stopping.catch(() => undefined);
  for (;;) {
    const sites = service.sites();
    const { studies = 'all' } = plan;
    const missing =
      studies === 'all' ? [] : studies.filter((study) => !sites.some((site) => site.study === study));
    const needed =
      studies === 'all' ? Math.max(0, (plan.minimum_studies ?? 1) - sites.length) : missing.length;
    if (needed === 0 || !service.enrols)
      return studies === 'all' ? sites : sites.filter(({ study }) => studies.includes(study));
    if (!service.listens) await service.listen();
    const event = { event: 'waiting for sites', missing, needed } as const;
    if (JSON.stringify(event) !== told) progress(event);
    told = JSON.stringify(event);
    await Promise.race([delay(SITES_CHECK), stopping]);
  }
}

/** Where nobody can enrol, a study that is not listed never comes. */
function checkListed({ sites }: CoordinatorConfig, studies: 'all' | readonly string[], place: string): void {
  const unknown =
    studies === 'all' ? [] : studies.filter((study) => !sites.some((site) => site.study === study));
  if (unknown.length === 0) return;
  throw new ConcordatError(
    'plan/inconsistent',
    `no site has the ${unknown.length === 1 ? 'study' : 'studies'} ${unknown.join(', ')}`,
    {
      place: `${place} studies`,
      remedy: `the sites are: ${sites.map(({ study }) => study).join(', ')}`,
    },
  );
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

function now(): Date {
  return new Date();
}
