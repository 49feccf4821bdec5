/**
 * One-stage fits over 30 trials with a million participants, their records in memory and all cores at work, from the
 * sites' entries to the result, against glmer, lmer, glmmTMB and coxph on the pooled records.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

import { ringSum } from '@concordat/shared/numerics/ring.ts';
import { combineEntries, type StudyEntry } from '@concordat/shared/one-stage/entry.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { OneStageFit } from '@concordat/shared/one-stage/types.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';

import { TERMS } from './data.ts';
import { printTable, ratioRow, runR, seconds } from './measure.ts';
import type { Order } from './one-stage-worker.ts';
import { makeTrial, OUTCOMES } from './trials.ts';

const STUDIES = 30;
/** Counted runs after one that is not. */
const RUNS = 3;

interface Case {
  readonly name: string;
  readonly outcome: string;
  readonly model: string;
  /** R's fit, and how many times faster it is to be. */
  readonly r: string;
  readonly goal: number;
}

const MIXED = 'intercept: random, treatment_effect: random';
const ADJUST = `adjust: [${TERMS.slice(2).join(', ')}]`;
const CASES: readonly Case[] = [
  {
    name: 'logistic mixed, Laplace',
    outcome: '{kind: binary, variable: binary}',
    model: `{family: binomial, ${MIXED}, ${ADJUST}}`,
    r: 'glmer',
    goal: 200,
  },
  {
    name: 'stratified Cox, Efron',
    outcome: '{kind: time-to-event, time: time, event: event}',
    model: `{family: cox, ${ADJUST}}`,
    r: 'coxph',
    goal: 5,
  },
  {
    name: 'linear mixed, REML',
    outcome: '{kind: continuous, variable: continuous}',
    model: `{family: gaussian, ${MIXED}, ${ADJUST}}`,
    r: 'lmer',
    goal: 200,
  },
  {
    name: 'Poisson mixed, Laplace',
    outcome: '{kind: count, variable: count}',
    model: `{family: poisson, ${MIXED}, ${ADJUST}}`,
    r: 'poisson',
    goal: 50,
  },
  {
    name: 'negative binomial mixed, Laplace',
    outcome: '{kind: count, variable: overdispersed}',
    model: `{family: negative-binomial, ${MIXED}, ${ADJUST}}`,
    r: 'nbinom',
    goal: 50,
  },
];

const planOf = ({ outcome, model }: Pick<Case, 'outcome' | 'model'>): string => `plan: 1
id: bench
treatment: {variable: treatment, control: 0, active: 1}
outcome: ${outcome}
analyses:
  - {id: fit, approach: one-stage, model: ${model}}
`;

type RFits = Readonly<Record<string, { readonly seconds: number; readonly estimate: number }>>;

/**
 * R's fits are all timed unless the variable `R` names some of them (`R=coxph,lmer`; `R=none`): with a million participants
 * glmer takes ten minutes, and each glmmTMB longer.
 */
export async function benchOneStage(participants: number, folder: string): Promise<void> {
  const rows = Math.round(participants / STUDIES);
  const threads = Math.min(availableParallelism(), STUDIES);
  const sites = Array.from({ length: threads }, (_, k) => new Site(k, threads, rows));
  const file = `${folder}/trials.bin`;
  const table = [];
  try {
    const wanted = process.env['R'] ?? CASES.map(({ r: fit }) => fit).join();
    writeTrials(file, rows);
    const r = runR('one-stage.R', [file, String(rows), String(STUDIES), wanted]) as RFits;
    for (const one of CASES) {
      const { best, first, fit } = await measure(sites, one);
      const estimate = fit.coefficients.find(({ term }) => term === 'treatment')!.estimate;
      const yardstick = r[one.r];
      const what = `${one.name} (${fit.rounds} rounds; first run ${seconds(first)}`;
      table.push(
        yardstick === undefined
          ? { what: `${what})`, concordat: seconds(best), r: 'not run', ratio: '–', goal: `≥ ${one.goal}×` }
          : ratioRow(
              `${what}; estimate differs by ${Math.abs(estimate / yardstick.estimate - 1).toExponential(0)})`,
              best,
              yardstick.seconds,
              one.goal,
            ),
      );
    }
    printTable(
      `One stage, ${STUDIES} trials × ${rows.toLocaleString('en')} participants × 8 fixed effects, ${threads} threads, data in memory`,
      table,
    );
    const laplace = await measure(sites, CASES[0]!);
    const agq = await measure(sites, {
      ...CASES[0]!,
      model: CASES[0]!.model.replace('}', ', quadrature: 9}'),
    });
    console.log(
      `\nAdaptive Gauss–Hermite, 9 × 9 points: ${seconds(agq.best)}, ${(agq.best / laplace.best).toFixed(1)}× the Laplace time (goal ≤ 10×), ${agq.fit.rounds} rounds`,
    );
  } finally {
    for (const site of sites) await site.close();
  }
}

async function measure(
  sites: readonly Site[],
  one: Pick<Case, 'outcome' | 'model'>,
): Promise<{ readonly first: number; readonly best: number; readonly fit: OneStageFit }> {
  const times: number[] = [];
  let fit: OneStageFit | null = null;
  for (let run = 0; run <= RUNS; run++) {
    const start = performance.now();
    fit = await fitOnce(sites, planOf(one));
    times.push((performance.now() - start) / 1000);
  }
  if (fit === null || fit.failure !== null) throw new Error(`the fit failed: ${fit?.failure?.code}`);
  return { first: times[0]!, best: Math.min(...times.slice(1)), fit };
}

async function fitOnce(sites: readonly Site[], text: string): Promise<OneStageFit> {
  const plan = expandPlan(parsePlan(text, 'the plan'));
  const spec = oneStageSpec(plan, plan.analyses[0]!);
  const all = async <T>(order: Order): Promise<T[]> =>
    (await Promise.all(sites.map((site) => site.ask(order)))).flat() as T[];
  const entry = combineEntries(spec, await all<StudyEntry>({ kind: 'open', plan: text }));
  await all({ kind: 'scale', scaling: entry.scaling });
  const program = oneStageModels[spec.kind].program(spec, entry);
  let turn = program.next();
  while (turn.done !== true) {
    const ask = turn.value;
    const answers = await all<Float64Array>({ kind: 'ask', ask });
    turn = program.next(ask.gather === 'sum' ? [ringSum(answers)] : answers);
  }
  return turn.value;
}

/** A thread with every `threads`th trial. */
class Site {
  readonly #worker: Worker;

  constructor(first: number, threads: number, rows: number) {
    const studies = Array.from({ length: STUDIES }, (_, study) => study).filter(
      (study) => study % threads === first,
    );
    this.#worker = new Worker(new URL('./one-stage-worker.ts', import.meta.url), {
      workerData: { studies, rows },
    });
  }

  ask(order: Order): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#worker.once('message', (answer) => {
        this.#worker.off('error', reject);
        resolve(answer);
      });
      this.#worker.once('error', reject);
      this.#worker.postMessage(order);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

function writeTrials(file: string, rows: number): void {
  const out = openSync(file, 'w');
  for (let study = 0; study < STUDIES; study++) {
    const { columns, outcomes } = makeTrial(study, rows);
    for (const column of [...columns.slice(1), ...OUTCOMES.map((name) => outcomes[name])])
      writeSync(out, new Uint8Array(column.buffer, column.byteOffset, column.byteLength));
  }
  closeSync(out);
}
