/** A thread that plays some of the sites: their records in memory, their entries, their answers. */
import { parentPort, workerData } from 'node:worker_threads';

import { draftEntry } from '@concordat/node-agent/fit/one-stage.ts';
import type { AnalysisSet } from '@concordat/node-agent/data/design.ts';
import type { Scaling } from '@concordat/shared/models/blocks.ts';
import type { Response, StudyData } from '@concordat/shared/models/types.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask } from '@concordat/shared/one-stage/types.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { FamilyName } from '@concordat/shared/plan/types.ts';
import { studyEntry } from '@concordat/shared/wire/one-stage.ts';

import { TERMS } from './data.ts';
import { makeTrial, type Trial } from './trials.ts';

export type Order =
  | { readonly kind: 'open'; readonly plan: string }
  | { readonly kind: 'scale'; readonly scaling: Scaling }
  | { readonly kind: 'ask'; readonly ask: Ask };

const { studies, rows } = workerData as { readonly studies: readonly number[]; readonly rows: number };
const trials = studies.map((study) => makeTrial(study, rows));
let open: readonly { readonly data: StudyData; readonly answer: ((ask: Ask) => Float64Array) | null }[] = [];
let spec: ReturnType<typeof oneStageSpec> | null = null;

function responseOf(family: FamilyName | 'rmst', { outcomes }: Trial): Response {
  switch (family) {
    case 'gaussian':
      return { kind: 'continuous', y: outcomes.continuous };
    case 'poisson':
      return { kind: 'count', y: outcomes.count };
    case 'negative-binomial':
      return { kind: 'count', y: outcomes.overdispersed };
    case 'cox':
      return {
        kind: 'time-to-event',
        time: outcomes.time,
        event: outcomes.event,
        entry: null,
        stratum: null,
      };
    default:
      return { kind: 'binary', events: outcomes.binary, trials: null };
  }
}

function work(order: Order): unknown {
  switch (order.kind) {
    case 'open': {
      const plan = expandPlan(parsePlan(order.plan, 'the plan'));
      const analysis = plan.analyses[0]!;
      spec = oneStageSpec(plan, analysis);
      const terms = analysis.columns.map(({ term }) => term);
      const sets = trials.map((trial): AnalysisSet => {
        const columns = terms.map((term) => trial.columns[TERMS.indexOf(term as (typeof TERMS)[number])]!);
        const treatmentMeans = [trial.columns[1]!.reduce((sum, x) => sum + x, 0) / trial.n];
        const response = responseOf(analysis.family, trial);
        return {
          data: { n: trial.n, columns, terms, response, offset: null, treatmentMeans },
          treatmentTerms: [terms.indexOf('treatment')],
          arms: ['control', 'active'],
          participants: [trial.n, 0],
          events: null,
          leftOut: {
            not_in_population: 0,
            other_treatment: 0,
            missing_outcome: 0,
            missing_treatment: 0,
            missing_covariate: 0,
          },
          modifierMeans: [],
          rows: new Int32Array(),
          within: new Uint8Array(),
          evidence: {
            rows: new Int32Array(),
            arm: null,
            weights: null,
            events: null,
            response,
            columns: [],
            factors: new Map(),
            offset: null,
            logExposure: null,
            otherTreatment: 0,
          },
          facts: {
            participants: trial.n,
            effective: trial.n,
            perArm: [],
            parameters: terms.length,
            events: null,
            eventFree: null,
            grouped: false,
            cells: [],
            shares: [],
            leverage: 0,
            rank: { deficient: false, nearDeficient: false },
          },
        };
      });
      open = sets.map(({ data }) => ({ data, answer: null }));
      return sets.map((set) => {
        const { payload } = draftEntry(
          plan,
          { spec: spec!, set, evidence: { kind: 'none' }, answer: null },
          true,
        );
        if (payload.$case !== 'oneStageEntry') throw new Error(payload.$case);
        return studyEntry(payload.value);
      });
    }
    case 'scale':
      open = open.map(({ data }) => ({
        data,
        answer: oneStageModels[spec!.kind].study(spec!, data, order.scaling),
      }));
      return null;
    case 'ask':
      return open.map(({ answer }) => answer!(order.ask));
  }
}

parentPort?.on('message', (order: Order) => parentPort?.postMessage(work(order)));
