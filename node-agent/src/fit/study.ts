/**
 * Answers the questions of one run from the site's own records: reads, builds each analysis set, fits,
 * and drafts what the gate may release. Runs in a worker thread.
 */
import { Diagnosis, type Counts } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import type { DiagnosisCode } from '@concordat/shared/models/types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { selectRows } from '../data/analysis-set.ts';
import { buildAnalysisSet, type AnalysisSet } from '../data/design.ts';
import { factorLevels } from '../data/levels.ts';
import type { Table } from '../data/read.ts';
import { loadTable } from '../data/load.ts';
import {
  problemDraft,
  type Draft,
  type Evidence,
  type StudyAnswer,
  type StudyQuestion,
  type StudySource,
} from './draft.ts';

export async function answer(question: StudyQuestion): Promise<StudyAnswer> {
  const problems: string[] = [];
  const attempt = async (work: () => Draft | Promise<Draft>, evidence?: () => Evidence): Promise<Draft> => {
    try {
      return await work();
    } catch (error) {
      problems.push(error instanceof ConcordatError ? error.describe() : 'internal error');
      return problemDraft(error, evidence?.());
    }
  };
  if (question.kind === 'levels') {
    return {
      drafts: [await attempt(() => answerLevels(question.source, question.plan, question.variables))],
      problems,
    };
  }
  const { plan } = question;
  const whole = await attemptTable(question.source, plan, question.analyses);
  const drafts: Draft[] = [];
  for (const id of question.analyses) {
    drafts.push(
      await attempt(async () => {
        const analysis = plan.analyses.find((candidate) => candidate.id === id);
        if (analysis === undefined) throw new ConcordatError('plan/inconsistent', 'no such analysis');
        const table = whole ?? (await loadFor(question.source, plan, [id]));
        return attempt(
          () => draftStageOne(plan, analysis, table),
          () => selection(plan, analysis, table),
        );
      }),
    );
  }
  return { drafts, problems };
}

/** Every analysis from one reading; null where that fails, and then each analysis reads only what it needs. */
async function attemptTable(
  source: StudySource,
  plan: ExpandedPlan,
  analyses: readonly string[],
): Promise<Table | null> {
  if (analyses.length === 1) return null;
  try {
    return await loadFor(source, plan, analyses);
  } catch {
    return null;
  }
}

function loadFor(source: StudySource, plan: ExpandedPlan, analyses: readonly string[]): Promise<Table> {
  const wanted = { ...plan, analyses: plan.analyses.filter(({ id }) => analyses.includes(id)) };
  return loadTable(source.data, wanted, source.map);
}

async function answerLevels(
  source: StudySource,
  plan: ExpandedPlan,
  variables: readonly string[],
): Promise<Draft> {
  const found = await factorLevels(source.data, plan, variables, source.map);
  return {
    payload: { $case: 'factorLevels', value: { variables: [] } },
    evidence: { kind: 'levels', variables: found },
  };
}

/** None where no row was selected yet: a column is missing, whatever the rows hold. */
function selection(plan: ExpandedPlan, analysis: Analysis, table: Table): Evidence {
  try {
    return { kind: 'selected-rows', participants: selectRows(plan, analysis, table).rows.length };
  } catch {
    return { kind: 'none' };
  }
}

function draftStageOne(plan: ExpandedPlan, analysis: Analysis, table: Table): Draft {
  const set = buildAnalysisSet(plan, analysis, table);
  const outcome = fitStageOne(set.data, { family: analysis.family, ties: analysis.ties }, set.treatmentTerms);
  const counts = countsOf(plan, set);
  const evidence = { kind: 'analysis-set', facts: set.facts } as const;
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
        logLikelihoodNull: outcome.logLikelihood.null,
        logLikelihood: outcome.logLikelihood.fitted,
        residualVariance: outcome.residualVariance ?? 0,
        modifierMeans: [...set.modifierMeans],
        rounds: outcome.rounds,
        badlyScaled: [...outcome.badlyScaled],
      },
    },
    evidence,
  };
}

function countsOf(plan: ExpandedPlan, set: AnalysisSet): Counts {
  return {
    participants: [...set.participants],
    events: plan.outcome.kind === 'continuous' ? [] : [...(set.events ?? [])],
    notInPopulation: set.leftOut.not_in_population,
    otherTreatment: set.leftOut.other_treatment,
    missingTreatment: set.leftOut.missing_treatment,
    missingOutcome: set.leftOut.missing_outcome,
    missingCovariate: set.leftOut.missing_covariate,
  };
}

const DIAGNOSIS: Readonly<Record<DiagnosisCode, Diagnosis>> = {
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
};
