/** From a one-stage fit to its entry in result.json. Pure. */
import { Diagnosis } from '@concordat/proto/concordat/v1/site.ts';
import { toRows } from '../linalg/symmetric.ts';
import { normalQuantile, normalTwoSided, tQuantile, tTwoSided } from '../numerics/distributions.ts';
import type { FittedCoefficient, OneStageFit, OneStageSpec } from '../one-stage/types.ts';
import type { Coefficient, OneStageResult, Reason, StudyResult, Warning } from '../plan/result-types.ts';
import { hasEvents } from '../plan/design.ts';
import type { Analysis, ExpandedPlan } from '../plan/types.ts';

import { diagnosisReason, failureReason, missing } from './answers.ts';
import { entryModifierMeans } from './modifier-means.ts';
import { countsOf, measureOf, NOTHING_FITTED, type StudyAnswer } from './results.ts';

export interface OneStageInput {
  readonly plan: ExpandedPlan;
  readonly analysis: Analysis;
  readonly entries: readonly StudyAnswer[];
  /** Studies that took part, in the order of the fit's positions. */
  readonly studies: readonly string[];
  /** What the design's columns were divided by; null where no fit began. */
  readonly scale: Float64Array | null;
}

/** Bytes of the fit's questions and answers, over all sites. */
export interface FitTraffic {
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export function failedOneStage(
  { plan, analysis, entries }: OneStageInput,
  { status, reason }: { readonly status: 'failed' | 'refused'; readonly reason: Reason },
): OneStageResult {
  return {
    approach: 'one-stage',
    status,
    reason,
    measure: measureOf(plan, analysis),
    studies: entries.map(({ study, answer }) => studyOf(plan, analysis, study, answer)),
    ...NOTHING_FITTED,
    warnings: [],
  };
}

export function oneStageResult(
  input: OneStageInput,
  spec: OneStageSpec,
  fit: OneStageFit,
  { bytesUp, bytesDown }: FitTraffic,
): OneStageResult {
  const { plan, analysis, entries, studies } = input;
  const convergence = {
    converged: fit.failure === null,
    rounds: fit.rounds,
    gradient_norm: fit.gradientNorm,
    bytes_up: bytesUp,
    bytes_down: bytesDown,
  };
  if (fit.failure !== null) {
    return { ...failedOneStage(input, { status: 'failed', reason: reasonOf(input, fit) }), convergence };
  }
  const name = ({ term, study }: FittedCoefficient): string =>
    study === undefined ? term : `${term}[${studies[study]}]`;
  return {
    approach: 'one-stage',
    status: 'done',
    measure: measureOf(plan, analysis),
    studies: entries.map(({ study, answer }) => studyOf(plan, analysis, study, answer)),
    coefficients: fit.coefficients.map((coefficient) =>
      inference(name(coefficient), coefficient, spec, studies.length),
    ),
    vcov: toRows(fit.vcov),
    random_effects: [...fit.randomEffects],
    correlations: toRows2(fit.correlations, fit.randomEffects.length),
    residual_variance: fit.residualVariance.map(({ study, variance }) =>
      study === null ? { variance } : { study: studies[study]!, variance },
    ),
    ...(fit.visitCovariance === undefined ? {} : { visit_covariance: toRows(fit.visitCovariance) }),
    log_likelihood: fit.logLikelihood,
    tests: fit.tests.map(({ study, ...test }) =>
      study === undefined ? test : { study: studies[study]!, ...test },
    ),
    predicted: fit.predicted.map(({ study, ...effect }) => ({ study: studies[study]!, ...effect })),
    convergence,
    warnings: warningsOf(input, spec, fit),
  };
}

/** Wald intervals and tests: normal, or Student's t where the coefficient has degrees of freedom, or by studies − 1. */
function inference(
  term: string,
  { estimate, se, df: own, profile }: FittedCoefficient,
  { inference: { ci, level } }: OneStageSpec,
  studies: number,
): Coefficient {
  const df = own ?? (ci === 't' && studies > 1 ? studies - 1 : null);
  if (se === null || !(se > 0)) return { term, estimate, se: null, ci: null, statistic: null, df, p: null };
  const upper = (1 + level) / 2;
  const critical = df === null ? normalQuantile(upper) : tQuantile(upper, df);
  const statistic = estimate / se;
  return {
    term,
    estimate,
    se,
    ci: profile === undefined ? [estimate - critical * se, estimate + critical * se] : profile,
    statistic,
    df,
    p: df === null ? normalTwoSided(statistic) : tTwoSided(statistic, df),
  };
}

function toRows2(packed: readonly (number | null)[], q: number): (number | null)[][] {
  const at = (i: number, j: number): number | null => packed[(i * (i + 1)) / 2 + j] ?? null;
  return Array.from({ length: q }, (_, i) =>
    Array.from({ length: q }, (__, j) => (i >= j ? at(i, j) : at(j, i))),
  );
}

function studyOf(
  plan: ExpandedPlan,
  analysis: Analysis,
  study: string,
  answer: StudyAnswer['answer'],
): StudyResult {
  const payload = answer.kind === 'reply' ? answer.payload : null;
  if (payload?.$case === 'oneStageEntry') {
    const means = entryModifierMeans(analysis, payload.value, plan.outcome.kind === 'binary-grouped');
    return {
      study,
      status: 'included',
      ...countsOf(plan, payload.value.counts),
      ...(means === null ? {} : { modifier_means: means }),
    };
  }
  if (payload?.$case === 'stageOneFailure') {
    return {
      study,
      status: 'excluded',
      reason: failureReason(payload.value, []),
      ...countsOf(plan, payload.value.counts),
    };
  }
  return { study, ...missing(answer), participants: null };
}

export const FAILURES: Readonly<Record<NonNullable<OneStageFit['failure']>['code'], string>> = {
  separation:
    'covariates separate events from non-events over all studies: the maximum-likelihood estimate is infinite',
  'monotone-likelihood':
    'the partial likelihood is monotone over all studies: the maximum-likelihood estimate is infinite',
  'rank-deficient': 'terms cannot be told apart over all studies',
  'not-converged': 'the fit did not converge',
  'too-few-participants': 'there are not more participants than parameters',
  'no-events': 'no participant had an event',
  'no-variation': 'the outcome does not vary, or no participant has one of its levels',
  'link-boundary': 'the maximum lies where a fitted mean leaves the range that the link allows',
};

/** Of all studies that take part, by entry; null where the outcome is no event, or a site keeps its number. */
export function eventsOf({ plan, entries }: Pick<OneStageInput, 'plan' | 'entries'>): {
  readonly events: number;
  readonly participants: number;
} | null {
  if (!hasEvents(plan)) return null;
  let [events, participants] = [0, 0];
  for (const { answer } of entries) {
    if (answer.kind !== 'reply' || answer.payload.$case !== 'oneStageEntry') continue;
    const { counts } = answer.payload.value;
    if (counts === undefined || counts.events.length === 0) return null;
    for (const count of counts.events) events += count;
    for (const count of counts.participants) participants += count;
  }
  return { events, participants };
}

function reasonOf(input: OneStageInput, { failure, rounds, gradientNorm }: OneStageFit): Reason {
  const { entries } = input;
  const { code, terms } = failure!;
  const diverges = code === 'separation' || code === 'monotone-likelihood';
  const sites = diverges
    ? [...ownDiagnoses(entries)].map(([study, diagnosis]) => `${study} (${diagnosisReason(diagnosis).code})`)
    : [];
  const named = terms.length === 0 ? '' : ` (${terms.join(', ')})`;
  const where = sites.length === 0 ? '' : `; studies whose own fit fails: ${sites.join(', ')}`;
  const how =
    code !== 'not-converged'
      ? ''
      : ` in ${rounds} rounds${gradientNorm === null ? '' : `; gradient norm ${gradientNorm.toPrecision(2)}`}`;
  return { code, message: `${FAILURES[code]}${how}${named}${where}` };
}

function warningsOf(input: OneStageInput, spec: OneStageSpec, fit: OneStageFit): Warning[] {
  const { analysis, studies } = input;
  const warnings: Warning[] = [];
  for (const { code, terms } of fit.warnings) {
    const named = terms.join(', ');
    for (const term of terms.length === 0 ? [undefined] : terms) {
      warnings.push({
        code: WARNINGS[code].code,
        message: WARNINGS[code].message.replace('{}', named),
        ...(term === undefined ? {} : { term }),
      });
    }
  }
  warnings.push(...scalingWarnings(input, spec), ...eventWarnings(input, spec));
  if (analysis.effectModifier?.separate === false) {
    warnings.push({
      code: 'ecological-bias',
      message:
        'the interaction is one merged term: it mixes within-trial with across-trial information (ecological bias); `separate: true` keeps them apart',
    });
  }
  if (studies.length === 1) {
    warnings.push({
      code: 'single-study',
      message: 'one study contributes: report it as that study’s result',
    });
  }
  return warnings;
}

/** Columns are rescaled by more than this to fit. */
const BADLY_SCALED = 1e6;

function scalingWarnings({ scale }: OneStageInput, { terms }: OneStageSpec): Warning[] {
  return [...(scale ?? [])].flatMap((by, j) =>
    Math.max(by, 1 / by) > BADLY_SCALED
      ? [
          {
            code: 'badly-scaled',
            term: terms[j]!,
            message: `${terms[j]} was rescaled by more than 10⁶ to fit; estimates are on the plan’s scale`,
          },
        ]
      : [],
  );
}

/** Fewer events (or non-events) for each parameter of the federation's own make asymptotic intervals too narrow. */
const EVENTS_PER_PARAMETER = 5;

function eventWarnings(input: OneStageInput, spec: OneStageSpec): Warning[] {
  const counts = eventsOf(input);
  if (counts === null) return [];
  const { events, participants } = counts;
  const scarce = input.analysis.family === 'binomial' ? Math.min(events, participants - events) : events;
  const parameters = spec.terms.length - spec.stratified.length + spec.random.length;
  if (scarce >= EVENTS_PER_PARAMETER * parameters) return [];
  return [
    {
      code: 'few-events',
      message: `${scarce} ${scarce === events ? 'events' : 'non-events'} for ${parameters} parameters, fewer than ${EVENTS_PER_PARAMETER} each: estimates are biased away from 0 and intervals may be too narrow`,
    },
  ];
}

const WARNINGS: Readonly<
  Record<OneStageFit['warnings'][number]['code'], { readonly code: string; readonly message: string }>
> = {
  boundary: {
    code: 'variance-boundary',
    message:
      'the variance of {} between studies is estimated as zero, the boundary of its range; that does not show that there is none',
  },
  'no-overdispersion': {
    code: 'no-overdispersion',
    message:
      'the counts vary no more than Poisson’s: {} is at infinity, the boundary of its range, and the estimates are those of family: poisson',
  },
  'perfect-correlation': {
    code: 'perfect-correlation',
    message:
      'the random effects are estimated as perfectly correlated, the boundary of their range; `correlated: false` asks less of few studies',
  },
  'profile-limit': {
    code: 'profile-limit',
    message: 'the profile likelihood of {} does not fall far enough for both limits of an interval',
  },
  'no-degrees-of-freedom': {
    code: 'no-degrees-of-freedom',
    message:
      'degrees of freedom cannot be computed for {}: a variance is at its boundary, or the fit is not by REML; intervals are normal',
  },
  'singular-information': {
    code: 'singular-information',
    message: 'the information on {} is singular, so that no standard error can be given',
  },
};

/** Studies whose own records show why a federated fit diverges. */
function ownDiagnoses(entries: readonly StudyAnswer[]): ReadonlyMap<string, Diagnosis> {
  return new Map(
    entries.flatMap(({ study, answer }) =>
      answer.kind === 'reply' &&
      answer.payload.$case === 'oneStageEntry' &&
      answer.payload.value.diagnosis !== Diagnosis.DIAGNOSIS_UNSPECIFIED
        ? [[study, answer.payload.value.diagnosis] as const]
        : [],
    ),
  );
}
