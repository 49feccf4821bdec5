/** A study's own fit of a two-stage analysis, as a draft. */
import { Diagnosis, type Counts } from '@concordat/proto/concordat/v1/site.ts';
import { rmstStudy, type RmstOutcome } from '@concordat/shared/models/rmst.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import type { DiagnosisCode, StageOneOutcome } from '@concordat/shared/models/types.ts';
import { fitMmrm } from '@concordat/shared/one-stage/mmrm-fit.ts';
import { modelOptions } from '@concordat/shared/one-stage/spec.ts';
import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { buildAnalysisSet, type AnalysisSet } from '../data/design.ts';
import type { Table } from '../data/read.ts';
import type { AnalysisSetEvidence, Draft } from './draft.ts';

export function draftStageOne(
  plan: ExpandedPlan,
  analysis: Analysis,
  table: Table,
  ownEstimates: boolean,
  evidenceOf: (set: AnalysisSet) => AnalysisSetEvidence = ({ facts }) => ({
    kind: 'analysis-set',
    facts,
    set: '',
  }),
): Draft {
  const set = buildAnalysisSet(plan, analysis, table);
  const outcome = ownFit(analysis, set);
  const counts = countsOf(plan, set, ownEstimates);
  const evidence = evidenceOf(set);
  if (outcome.status === 'not-estimable') {
    const value = {
      diagnosis: DIAGNOSIS[outcome.diagnosis.code],
      terms: [...outcome.diagnosis.terms],
      counts,
    };
    return { payload: { $case: 'stageOneFailure', value }, evidence };
  }
  return {
    payload: {
      $case: 'stageOneEstimate',
      value: {
        counts,
        estimable: [...outcome.estimable],
        estimates: [...outcome.estimates],
        vcov: [...outcome.vcov],
        logLikelihoodNull: outcome.logLikelihood?.null ?? 0,
        logLikelihood: outcome.logLikelihood?.fitted ?? 0,
        residualVariance: outcome.residualVariance ?? 0,
        modifierMeans: [...set.modifierMeans],
        rounds: outcome.rounds,
        badlyScaled: [...outcome.badlyScaled],
      },
    },
    evidence,
  };
}

/** What the analysis fits to one study alone. */
function ownFit(analysis: Analysis, { data, treatmentTerms }: AnalysisSet): StageOneOutcome | RmstOutcome {
  const { tau, contrast, covariance, estimation } = analysis.model;
  if (analysis.family === 'rmst' && tau !== null) return rmstStudy(data, tau, contrast);
  return data.response.kind === 'repeated'
    ? fitMmrm(data, { covariance, estimation, df: null }, treatmentTerms)
    : fitStageOne(data, modelOptions(analysis), treatmentTerms);
}

/** Events by arm are a trial's own estimate, and go with it. */
export function countsOf(plan: ExpandedPlan, set: AnalysisSet, ownEstimates: boolean): Counts {
  return {
    participants: [...set.participants],
    events: hasEvents(plan) && ownEstimates ? [...(set.events ?? [])] : [],
    notInPopulation: set.leftOut.not_in_population,
    otherTreatment: set.leftOut.other_treatment,
    missingTreatment: set.leftOut.missing_treatment,
    missingOutcome: set.leftOut.missing_outcome,
    missingCovariate: set.leftOut.missing_covariate,
  };
}

export const DIAGNOSIS: Readonly<Record<DiagnosisCode, Diagnosis>> = {
  'no-participants': Diagnosis.DIAGNOSIS_NO_PARTICIPANTS,
  'single-arm': Diagnosis.DIAGNOSIS_SINGLE_ARM,
  'no-events': Diagnosis.DIAGNOSIS_NO_EVENTS,
  'all-events': Diagnosis.DIAGNOSIS_ALL_EVENTS,
  'no-events-in-arm': Diagnosis.DIAGNOSIS_NO_EVENTS_IN_ARM,
  'no-nonevents-in-arm': Diagnosis.DIAGNOSIS_NO_NONEVENTS_IN_ARM,
  separation: Diagnosis.DIAGNOSIS_SEPARATION,
  'monotone-likelihood': Diagnosis.DIAGNOSIS_MONOTONE_LIKELIHOOD,
  'rank-deficient': Diagnosis.DIAGNOSIS_RANK_DEFICIENT,
  'too-few-participants': Diagnosis.DIAGNOSIS_TOO_FEW_PARTICIPANTS,
  'not-converged': Diagnosis.DIAGNOSIS_NOT_CONVERGED,
  'no-variation': Diagnosis.DIAGNOSIS_NO_VARIATION,
  'short-follow-up': Diagnosis.DIAGNOSIS_SHORT_FOLLOW_UP,
};
