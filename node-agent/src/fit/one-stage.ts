/**
 * A study's part of a one-stage analysis: its entry, then its contribution to each question. Between questions the
 * worker keeps the analysis set and its objective, so that a question costs a pass over columns in memory.
 */
import { Diagnosis } from '@concordat/proto/concordat/v1/site.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import { families } from '@concordat/shared/models/registry.ts';
import type { DiagnosisCode } from '@concordat/shared/models/types.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { buildAnalysisSet, setDigest, type AnalysisSet } from '../data/design.ts';
import { loadTable } from '../data/load.ts';
import type { Table } from '../data/read.ts';
import type { Draft, Evidence, StudyQuestion, StudySource } from './draft.ts';
import { countsOf, DIAGNOSIS } from './stage-one.ts';

/** An analysis that is under way. */
export interface OpenAnalysis {
  readonly spec: OneStageSpec;
  readonly set: AnalysisSet;
  readonly evidence: Evidence;
  /** Scaling (JSON) → the study's side of the fit. */
  answer: { readonly key: string; readonly ask: (ask: Ask) => Float64Array } | null;
}

/** Analyses kept; the oldest goes first. One that is asked about again is read again. */
const KEPT = 32;
const open = new Map<string, OpenAnalysis>();

export function openAnalysis(source: StudySource, plan: ExpandedPlan, analysis: Analysis, table: Table): OpenAnalysis {
  const set = buildAnalysisSet(plan, analysis, table);
  const opened: OpenAnalysis = {
    spec: oneStageSpec(plan, analysis),
    set,
    evidence: { kind: 'analysis-set', facts: set.facts, set: setDigest(set) },
    answer: null,
  };
  const key = keyOf(source, plan, analysis.id);
  open.delete(key);
  open.set(key, opened);
  for (const oldest of open.keys()) {
    if (open.size <= KEPT) break;
    open.delete(oldest);
  }
  return opened;
}

const keyOf = (source: StudySource, plan: ExpandedPlan, analysis: string): string =>
  JSON.stringify([source, plan, analysis]);

/** What the study brings into the analysis; a failure where it can bring nothing. */
export function draftEntry(
  plan: ExpandedPlan,
  { spec, set, evidence }: OpenAnalysis,
  ownEstimates: boolean,
): Draft {
  const counts = countsOf(plan, set);
  const excluded = cannotTakePart(spec, set);
  if (excluded !== null) {
    return {
      payload: { $case: 'stageOneFailure', value: { diagnosis: DIAGNOSIS[excluded], terms: [], counts } },
      evidence,
    };
  }
  const { data } = set;
  const moments = data.columns.map(momentsOf);
  const fit = data.response.kind === 'repeated' ? null : fitStageOne(data, spec.options, set.treatmentTerms);
  const own = fit?.status === 'fitted' && ownEstimates ? fit : null;
  return {
    payload: {
      $case: 'oneStageEntry',
      value: {
        counts,
        means: moments.map(({ mean }) => mean),
        deviations: moments.map(({ sd }) => sd),
        // What changes with time is not in the study's own fit.
        estimable: own === null ? [] : spec.terms.map((_, j) => own.estimable[j] ?? false),
        estimates: own === null ? [] : [...own.estimates],
        vcov: own === null ? [] : [...own.vcov],
        diagnosis:
          fit?.status === 'not-estimable' ? DIAGNOSIS[fit.diagnosis.code] : Diagnosis.DIAGNOSIS_UNSPECIFIED,
      },
    },
    evidence,
  };
}

/**
 * A study whose own intercept (or baseline) would be infinite holds no information on what is common: it is left out, as
 * in R, where its indicator would be infinite. Beside random intercepts, and under Firth's penalty, it takes part.
 */
function cannotTakePart({ kind, stratified, options }: OneStageSpec, { data }: AnalysisSet): DiagnosisCode | null {
  if (data.n === 0) return 'no-participants';
  if (kind !== 'likelihood' || stratified.length === 0) return null;
  const { response } = data;
  if (response.kind === 'ordinal') return response.level.every((level) => level === response.level[0]) ? 'no-variation' : null;
  const family = families[options.family];
  const events = family.events(response);
  if (events === null) return null;
  const trials = family.trials(response);
  let [sum, total] = [0, 0];
  events.forEach((count, i) => {
    sum += count;
    total += trials === null ? 1 : trials[i]!;
  });
  if (sum === 0) return 'no-events';
  return family.nonevents && sum === total ? 'all-events' : null;
}

function momentsOf(column: Float64Array): { readonly mean: number; readonly sd: number } {
  const origin = column[0] ?? 0;
  let sum = 0;
  for (let i = 0; i < column.length; i++) sum += column[i]! - origin;
  const mean = origin + sum / column.length;
  let squares = 0;
  for (let i = 0; i < column.length; i++) squares += (column[i]! - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / column.length) };
}

/** The study's contribution to one question. */
export async function answerObjective(question: Extract<StudyQuestion, { kind: 'objective' }>): Promise<Draft> {
  const { source, plan, scaling, ask } = question;
  const key = keyOf(source, plan, question.analysis);
  const analysis = plan.analyses.find(({ id }) => id === question.analysis)!;
  let opened = open.get(key);
  if (opened === undefined) {
    const table = await loadTable(source.data, { ...plan, analyses: [analysis] }, source.map);
    opened = openAnalysis(source, plan, analysis, table);
  }
  const scaled = JSON.stringify([[...scaling.centre], [...scaling.scale]]);
  if (opened.answer?.key !== scaled) {
    const { spec, set } = opened;
    opened.answer = { key: scaled, ask: oneStageModels[spec.kind].study(spec, set.data, scaling) };
  }
  const values = opened.answer.ask(ask);
  return { payload: { $case: 'objectiveValue', value: { values: [...values] } }, evidence: opened.evidence };
}
