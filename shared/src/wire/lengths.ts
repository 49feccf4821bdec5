/**
 * Lengths of a site's answer follow from the plan, and both ends check them: the agent before it signs,
 * the coordinator before it uses. Numbers must be finite, variances positive, codes known: whatever one
 * site says, it can cost the run no more than that site's answer.
 */
import {
  Diagnosis,
  Objection,
  Problem,
  Rule,
  type Counts,
  type FactorLevels,
  type OneStageEntry,
  type SiteMessage,
  type StageOneEstimate,
} from '@concordat/proto/concordat/v1/site.ts';

import { ConcordatError } from '../errors.ts';
import { cholesky, packedIndex } from '../linalg/symmetric.ts';
import { parameterTerms } from '../one-stage/spec.ts';
import { armNames, hasEvents, modifierColumns } from '../plan/design.ts';
import type { Analysis, ExpandedPlan } from '../plan/types.ts';
import { LEVEL_TEXT_LIMIT } from './protocol.ts';

/**
 * Throws wire/length, wire/not-finite or wire/unknown-field. `analysis` is the one named in the header; null for plan-wide
 * answers. `answerLength`: numbers that the question about a one-stage analysis's parameters asks for.
 */
export function checkPayload(
  payload: NonNullable<SiteMessage['payload']>,
  plan: ExpandedPlan,
  analysis: Analysis | null,
  askedVariables: readonly string[],
  answerLength = 0,
): void {
  switch (payload.$case) {
    case 'stageOneEstimate':
      checkEstimate(payload.value, plan, requireAnalysis(analysis));
      return;
    case 'stageOneFailure': {
      const p = parameterTerms(plan, requireAnalysis(analysis)).length;
      known(payload.value.diagnosis, [Diagnosis.DIAGNOSIS_UNSPECIFIED, Diagnosis.UNRECOGNIZED], 'diagnosis');
      if (payload.value.terms.some((t) => t >= p) || payload.value.terms.length > p)
        throw wrongLength('terms', p);
      if (payload.value.counts !== undefined) checkCounts(payload.value.counts, plan);
      return;
    }
    case 'oneStageEntry':
      checkEntry(payload.value, plan, requireAnalysis(analysis));
      return;
    case 'objectiveValue':
      requireAnalysis(analysis);
      if (payload.value.values.length !== answerLength) throw wrongLength('values', answerLength);
      finite(payload.value.values, 'values');
      return;
    case 'factorLevels':
      checkLevels(payload.value, askedVariables);
      return;
    case 'refusal':
      known(payload.value.rule, [Rule.RULE_UNSPECIFIED, Rule.UNRECOGNIZED], 'rule');
      finite([payload.value.threshold, payload.value.observed ?? 0], 'threshold');
      known(payload.value.objection, [Objection.UNRECOGNIZED], 'objection');
      return;
    case 'planAccepted':
      if (payload.value.policyDigest.length !== 32) throw wrongLength('policy_digest', 32);
      return;
    case 'dataProblem':
      known(payload.value.problem, [Problem.PROBLEM_UNSPECIFIED, Problem.UNRECOGNIZED], 'problem');
      return;
    case 'runLeft':
      return;
  }
}

function checkEstimate(estimate: StageOneEstimate, plan: ExpandedPlan, analysis: Analysis): void {
  const p = parameterTerms(plan, analysis).length;
  if (estimate.estimable.length !== p) throw wrongLength('estimable', p);
  const q = estimate.estimable.filter(Boolean).length;
  if (estimate.estimates.length !== q) throw wrongLength('estimates', q);
  if (estimate.vcov.length !== (q * (q + 1)) / 2) throw wrongLength('vcov', (q * (q + 1)) / 2);
  const means = modifierColumns(analysis).length;
  if (estimate.modifierMeans.length !== means) throw wrongLength('modifier_means', means);
  if (estimate.badlyScaled.length > p || estimate.badlyScaled.some((t) => t >= p))
    throw wrongLength('badly_scaled', p);
  if (estimate.counts === undefined) throw wrongLength('counts', 1);
  checkCounts(estimate.counts, plan);
  finite(estimate.estimates, 'estimates');
  finite(estimate.vcov, 'vcov');
  checkCovariance(estimate, plan, analysis);
  finite(estimate.modifierMeans, 'modifier_means');
  finite([estimate.logLikelihood, estimate.logLikelihoodNull, estimate.residualVariance], 'log_likelihood');
}

function checkEntry(entry: OneStageEntry, plan: ExpandedPlan, analysis: Analysis): void {
  const columns = analysis.columns.length;
  if (entry.means.length !== columns) throw wrongLength('means', columns);
  if (entry.deviations.length !== columns) throw wrongLength('deviations', columns);
  const p = parameterTerms(plan, analysis).length;
  if (entry.estimable.length !== p && entry.estimable.length !== 0) throw wrongLength('estimable', p);
  const q = entry.estimable.filter(Boolean).length;
  if (entry.estimates.length !== q) throw wrongLength('estimates', q);
  if (entry.vcov.length !== (q * (q + 1)) / 2) throw wrongLength('vcov', (q * (q + 1)) / 2);
  known(entry.diagnosis, [Diagnosis.UNRECOGNIZED], 'diagnosis');
  if (entry.counts === undefined) throw wrongLength('counts', 1);
  checkCounts(entry.counts, plan);
  finite(entry.means, 'means');
  finite(entry.deviations, 'deviations');
  if (entry.deviations.some((deviation) => deviation < 0)) throw wrongLength('deviations', columns);
  finite(entry.estimates, 'estimates');
  finite(entry.vcov, 'vcov');
}

function checkCounts(counts: Counts, plan: ExpandedPlan): void {
  const arms = armNames(plan).length;
  if (counts.participants.length !== arms) throw wrongLength('participants', arms);
  const events = hasEvents(plan) ? arms : 0;
  // None where the site's policy keeps per-trial estimates.
  if (counts.events.length !== events && counts.events.length !== 0) throw wrongLength('events', events);
}

function checkLevels(levels: FactorLevels, asked: readonly string[]): void {
  if (levels.variables.length !== asked.length) throw wrongLength('variables', asked.length);
  levels.variables.forEach((list, i) => {
    if (list.variable !== asked[i]) throw wrongLength('variables', asked.length);
    for (const level of list.levels) {
      if (level.code === undefined) throw wrongLength('code', 1);
      if (level.code.$case === 'number') finite([level.code.value], 'level');
      else if (level.code.value.length > LEVEL_TEXT_LIMIT) throw wrongLength('level', LEVEL_TEXT_LIMIT);
    }
  });
}

function requireAnalysis(analysis: Analysis | null): Analysis {
  if (analysis === null) throw wrongLength('analysis', 1);
  return analysis;
}

function finite(values: readonly number[], field: string): void {
  if (values.every(Number.isFinite)) return;
  throw new ConcordatError('wire/not-finite', `${field} holds a value that is not a finite number`, {
    place: field,
  });
}

/**
 * A variance of zero or less has no standard error, and a pooled block that is not positive definite has no inverse.
 * The other terms may be as ill-conditioned as their columns are.
 */
function checkCovariance(
  { estimable, vcov }: StageOneEstimate,
  plan: ExpandedPlan,
  analysis: Analysis,
): void {
  const { pool } = analysis;
  const terms = parameterTerms(plan, analysis).filter((_, i) => estimable[i]);
  const pooled = terms.flatMap((term, i) => (pool.terms.includes(term) ? [i] : []));
  const block = pooled.flatMap((i, row) => pooled.slice(0, row + 1).map((j) => vcov[packedIndex(i, j)] ?? 0));
  try {
    if (terms.some((_, i) => !((vcov[packedIndex(i, i)] ?? 0) > 0)))
      throw new Error('a variance is not positive');
    cholesky(Float64Array.from(block));
  } catch {
    throw new ConcordatError(
      'wire/not-finite',
      'vcov is not the covariance matrix of finite standard errors',
      {
        place: 'vcov',
      },
    );
  }
}

/** The codec lets the generator's two marks for an unknown value through where they have their own encoding. */
function known<T>(value: T, unknown: readonly T[], field: string): void {
  if (!unknown.includes(value)) return;
  throw new ConcordatError('wire/unknown-field', `${field} holds a code that this version does not know`, {
    place: field,
    remedy: 'both sides must run compatible versions',
  });
}

function wrongLength(field: string, expected: number): ConcordatError {
  return new ConcordatError(
    'wire/length',
    `${field} does not have the length that the plan gives it (${expected})`,
    {
      place: field,
      remedy: 'both sides must run the same plan and compatible versions',
    },
  );
}
