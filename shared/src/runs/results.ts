/** From the sites' answers to an analysis's entry in result.json. Pure. */
import type { Counts, StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '../errors.ts';
import { families } from '../models/registry.ts';
import { packedIndex } from '../linalg/symmetric.ts';
import { parameterTerms } from '../one-stage/spec.ts';
import { armNames, hasEvents, modifierColumns } from '../plan/design.ts';
import type {
  AnalysisResult,
  OneStageResult,
  Reason,
  StudyResult,
  TwoStageResult,
  Warning,
} from '../plan/result-types.ts';
import type { Analysis, ExpandedPlan, FamilyName } from '../plan/types.ts';
import { stageTwo, type StageTwo } from '../pooling/stage-two.ts';
import type { StudyEstimates } from '../pooling/study-estimates.ts';

import { failureReason, missing, type SiteAnswer } from './answers.ts';

export interface StudyAnswer {
  readonly study: string;
  readonly answer: SiteAnswer;
}

export function analysisResult(
  plan: ExpandedPlan,
  analysis: Analysis,
  answers: readonly StudyAnswer[],
): AnalysisResult {
  const estimates = answers.flatMap(({ study, answer }) => estimatesOf(analysis, study, answer));
  const studies = answers.map(({ study, answer }) => studyResult(plan, analysis, study, answer));
  if (estimates.length < Math.max(1, plan.minimumStudies))
    return tooFew(plan, analysis, studies, estimates.length);

  const second = combine(analysis, estimates);
  if (second === null) return notPooled(plan, analysis, studies, 'failed', NOT_COMPUTED);
  const { weights, warnings, ...pooled } = second;
  const weightOf = new Map(estimates.map(({ study }, i) => [study, weights[i] ?? null]));
  return {
    approach: 'two-stage',
    status: 'done',
    measure: measureOf(plan, analysis),
    studies: studies.map((study) =>
      study.status === 'included' ? { ...study, weight: weightOf.get(study.study) ?? null } : study,
    ),
    ...pooled,
    warnings,
  };
}

/** An analysis that this version does not compute: empty lists, nulls and the reason. */
export function failedAnalysis(plan: ExpandedPlan, analysis: Analysis, reason: Reason): AnalysisResult {
  const common = {
    status: 'failed',
    reason,
    measure: measureOf(plan, analysis),
    studies: [],
    warnings: [],
  } as const;
  return analysis.approach === 'two-stage'
    ? { approach: 'two-stage', ...common, ...NOTHING_POOLED }
    : { approach: 'one-stage', ...common, ...NOTHING_FITTED };
}

const NOTHING_POOLED: Pick<
  TwoStageResult,
  'pooled' | 'heterogeneity' | 'heterogeneity_term' | 'joint' | 'separate' | 'contrasts'
> = {
  pooled: [],
  heterogeneity: null,
  heterogeneity_term: null,
  joint: null,
  separate: [],
  contrasts: [],
};

export const NOTHING_FITTED: Omit<
  OneStageResult,
  'approach' | 'status' | 'reason' | 'measure' | 'studies' | 'warnings'
> = {
  coefficients: [],
  vcov: [],
  random_effects: [],
  correlations: [],
  residual_variance: [],
  log_likelihood: null,
  tests: [],
  predicted: [],
  convergence: null,
};

const NOT_COMPUTED: Reason = {
  code: 'not-computed',
  message:
    'stage two cannot combine these estimates in double precision; look for a study whose numbers cannot be right',
};

/** Null where the estimates, however well-formed, overflow or have no pooled estimate: no site can stop the run. */
function combine(analysis: Analysis, estimates: readonly StudyEstimates[]): StageTwo | null {
  try {
    const second = stageTwo(analysis, estimates);
    return allFinite(second) ? second : null;
  } catch (error) {
    if (error instanceof ConcordatError && error.code.startsWith('numerics/')) return null;
    throw error;
  }
}

/** No number in it, however deep, is infinite or NaN. */
function allFinite(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(allFinite);
}

function tooFew(
  plan: ExpandedPlan,
  analysis: Analysis,
  studies: readonly StudyResult[],
  usable: number,
): TwoStageResult {
  const refusals = studies.filter(({ status }) => status === 'refused').length;
  const needed = Math.max(1, plan.minimumStudies);
  return notPooled(
    plan,
    analysis,
    studies,
    refusals > 0 && usable + refusals >= needed ? 'refused' : 'failed',
    {
      code: 'too-few-studies',
      message: `${usable} of ${studies.length} studies gave an estimate; the plan asks for at least ${needed}`,
    },
  );
}

function notPooled(
  plan: ExpandedPlan,
  analysis: Analysis,
  studies: readonly StudyResult[],
  status: 'failed' | 'refused',
  reason: Reason,
): TwoStageResult {
  const measure = measureOf(plan, analysis);
  return { approach: 'two-stage', status, reason, measure, studies, ...NOTHING_POOLED, warnings: [] };
}

export function measureOf(plan: ExpandedPlan, analysis: Analysis): string {
  const { family, model } = analysis;
  if (family === 'rmst') {
    return model.contrast === 'ratio'
      ? 'log ratio of restricted mean survival times'
      : 'difference in restricted mean survival time';
  }
  if (plan.treatment !== null) return LINKED[family]?.[model.link ?? 'logit'] ?? families[family].measure;
  const { level, slope } = UNTREATED[family];
  return analysis.pool.terms.every((term) => term === '(intercept)') ? level : slope;
}

/** Of links that are not canonical. */
const LINKED: Partial<Record<FamilyName, Partial<Record<string, string>>>> = {
  binomial: { log: 'log risk ratio', identity: 'risk difference' },
  poisson: { identity: 'rate difference' },
};

/** What is pooled where the plan names no treatment: the intercept alone, or a covariate's coefficient. */
const UNTREATED: Readonly<Record<FamilyName, { readonly level: string; readonly slope: string }>> = {
  gaussian: { level: 'mean', slope: 'regression coefficient' },
  binomial: { level: 'log odds', slope: 'log odds ratio' },
  poisson: { level: 'log rate', slope: 'log rate ratio' },
  'negative-binomial': { level: 'log rate', slope: 'log rate ratio' },
  ordinal: { level: 'log odds', slope: 'log odds ratio' },
  cox: { level: 'log hazard ratio', slope: 'log hazard ratio' },
  weibull: { level: 'log hazard', slope: 'log hazard ratio' },
  'piecewise-exponential': { level: 'log hazard', slope: 'log hazard ratio' },
  'royston-parmar': { level: 'log hazard', slope: 'log hazard ratio' },
};

function estimatesOf(analysis: Analysis, study: string, answer: SiteAnswer): StudyEstimates[] {
  if (answer.kind !== 'reply' || answer.payload.$case !== 'stageOneEstimate') return [];
  const estimate = answer.payload.value;
  const position = positions(estimate);
  const pooled = analysis.pool.terms.flatMap((term) => {
    const column = analysis.columns.findIndex((candidate) => candidate.term === term);
    const at = position[column];
    return at === undefined || at === null ? [] : [{ term, at }];
  });
  if (pooled.length === 0) return [];
  const vcov: number[] = [];
  pooled.forEach(({ at: i }, row) => {
    for (const { at: j } of pooled.slice(0, row + 1)) vcov.push(estimate.vcov[packedIndex(i, j)] ?? 0);
  });
  return [
    {
      study,
      terms: pooled.map(({ term }) => term),
      estimates: Float64Array.from(pooled, ({ at }) => estimate.estimates[at] ?? 0),
      vcov: Float64Array.from(vcov),
      modifierMeans: modifierMeans(analysis, estimate),
    },
  ];
}

/** For each of the plan's terms its place among the study's estimates; null where not estimable there. */
function positions(estimate: StageOneEstimate): readonly (number | null)[] {
  let next = 0;
  return estimate.estimable.map((yes) => (yes ? next++ : null));
}

function studyResult(plan: ExpandedPlan, analysis: Analysis, study: string, answer: SiteAnswer): StudyResult {
  const payload = answer.kind === 'reply' ? answer.payload : null;
  if (payload?.$case === 'stageOneEstimate') return includedStudy(plan, analysis, study, payload.value);
  if (payload?.$case === 'stageOneFailure') {
    const terms = parameterTerms(plan, analysis);
    return {
      study,
      status: 'excluded',
      reason: failureReason(payload.value, terms),
      ...countsOf(plan, payload.value.counts),
    };
  }
  return { study, ...missing(answer), participants: null };
}

function includedStudy(
  plan: ExpandedPlan,
  analysis: Analysis,
  study: string,
  estimate: StageOneEstimate,
): StudyResult {
  const position = positions(estimate);
  const terms = parameterTerms(plan, analysis).filter((_, i) => position[i] !== null);
  const vcovAt = (i: number, j: number): number => estimate.vcov[packedIndex(i, j)] ?? 0;
  const counts = countsOf(plan, estimate.counts);
  const withoutPooledTerm = !analysis.pool.terms.some((term) => terms.includes(term));
  const means = modifierMeans(analysis, estimate);
  return {
    study,
    ...(withoutPooledTerm
      ? {
          status: 'excluded',
          reason: {
            code: 'not-estimable',
            message: 'none of the pooled terms can be estimated from this study',
          },
        }
      : { status: 'included' }),
    ...counts,
    estimates: terms.map((term, i) => ({
      term,
      estimate: estimate.estimates[i] ?? 0,
      se: Math.sqrt(vcovAt(i, i)),
    })),
    vcov: terms.map((_, i) => terms.map((__, j) => vcovAt(i, j))),
    log_likelihood:
      analysis.family === 'rmst'
        ? null
        : { null: estimate.logLikelihoodNull, fitted: estimate.logLikelihood },
    ...(means === null ? {} : { modifier_means: means }),
    warnings: studyWarnings(parameterTerms(plan, analysis), study, estimate),
  };
}

export function countsOf(
  plan: ExpandedPlan,
  counts: Counts | undefined,
): Pick<StudyResult, 'participants' | 'events' | 'left_out_by_reason'> {
  if (counts === undefined) return { participants: null };
  const arms = armNames(plan);
  const by = (values: readonly number[]): Record<string, number> =>
    Object.fromEntries(arms.map((arm, i) => [arm, values[i] ?? 0]));
  return {
    participants: {
      ...by(counts.participants),
      left_out: counts.missingTreatment + counts.missingOutcome + counts.missingCovariate,
    },
    left_out_by_reason: {
      missing_treatment: counts.missingTreatment,
      missing_outcome: counts.missingOutcome,
      missing_covariate: counts.missingCovariate,
      not_in_population: counts.notInPopulation,
      other_treatment: counts.otherTreatment,
    },
    // Events that a site's policy keeps are null, not 0.
    ...(hasEvents(plan) ? { events: counts.events.length === 0 ? null : by(counts.events) } : {}),
  };
}

function modifierMeans(
  analysis: Analysis,
  { modifierMeans: means }: StageOneEstimate,
): StudyEstimates['modifierMeans'] {
  if (means.length === 0) return null;
  return modifierColumns(analysis).map(({ term }, i) => ({ term, mean: means[i] ?? 0 }));
}

function studyWarnings(
  terms: readonly string[],
  study: string,
  estimate: StageOneEstimate,
): readonly Warning[] {
  const dropped = terms.flatMap((term, i) =>
    estimate.estimable[i] === true
      ? []
      : [
          {
            code: 'term-not-estimable',
            message: `${term} cannot be estimated from this study (a level without participants, or a combination of other terms); the study contributes the rest`,
            study,
            term,
          },
        ],
  );
  const scaled = estimate.badlyScaled.map((i) => ({
    code: 'badly-scaled',
    message: `${terms[i] ?? ''} was rescaled at the site to fit; the estimate is on the plan's scale`,
    study,
    term: terms[i] ?? '',
  }));
  return [...dropped, ...scaled];
}
