/**
 * Lengths of a site's answer follow from the plan, and both ends check them: the agent before it signs,
 * the coordinator before it uses. Numbers must be finite.
 */
import type { Counts, FactorLevels, SiteMessage, StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';

import { ConcordatError } from '../errors.ts';
import { armNames, modifierColumns } from '../plan/design.ts';
import type { Analysis, ExpandedPlan } from '../plan/types.ts';
import { LEVEL_TEXT_LIMIT } from './protocol.ts';

/** Throws wire/length or wire/not-finite. `analysis` is the one named in the header; null for plan-wide answers. */
export function checkPayload(
  payload: NonNullable<SiteMessage['payload']>,
  plan: ExpandedPlan,
  analysis: Analysis | null,
  askedVariables: readonly string[],
): void {
  switch (payload.$case) {
    case 'stageOneEstimate':
      checkEstimate(payload.value, plan, requireAnalysis(analysis));
      return;
    case 'stageOneFailure': {
      const p = requireAnalysis(analysis).columns.length;
      if (payload.value.terms.some((t) => t >= p) || payload.value.terms.length > p) throw wrongLength('terms', p);
      if (payload.value.counts !== undefined) checkCounts(payload.value.counts, plan);
      return;
    }
    case 'factorLevels':
      checkLevels(payload.value, askedVariables);
      return;
    case 'refusal':
      finite([payload.value.threshold], 'threshold');
      return;
    case 'planAccepted':
      if (payload.value.policyDigest.length !== 32) throw wrongLength('policy_digest', 32);
      return;
    case 'dataProblem':
    case 'runLeft':
      return;
  }
}

function checkEstimate(estimate: StageOneEstimate, plan: ExpandedPlan, analysis: Analysis): void {
  const p = analysis.columns.length;
  if (estimate.estimable.length !== p) throw wrongLength('estimable', p);
  const q = estimate.estimable.filter(Boolean).length;
  if (estimate.estimates.length !== q) throw wrongLength('estimates', q);
  if (estimate.vcov.length !== (q * (q + 1)) / 2) throw wrongLength('vcov', (q * (q + 1)) / 2);
  const means = modifierColumns(analysis).length;
  if (estimate.modifierMeans.length !== means) throw wrongLength('modifier_means', means);
  if (estimate.badlyScaled.length > p || estimate.badlyScaled.some((t) => t >= p)) throw wrongLength('badly_scaled', p);
  if (estimate.counts === undefined) throw wrongLength('counts', 1);
  checkCounts(estimate.counts, plan);
  finite(estimate.estimates, 'estimates');
  finite(estimate.vcov, 'vcov');
  finite(estimate.modifierMeans, 'modifier_means');
  finite([estimate.logLikelihood, estimate.logLikelihoodNull, estimate.residualVariance], 'log_likelihood');
}

function checkCounts(counts: Counts, plan: ExpandedPlan): void {
  const arms = armNames(plan).length;
  if (counts.participants.length !== arms) throw wrongLength('participants', arms);
  const events = plan.outcome.kind === 'continuous' ? 0 : arms;
  if (counts.events.length !== events) throw wrongLength('events', events);
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
  throw new ConcordatError('wire/not-finite', `${field} holds a value that is not a finite number`, { place: field });
}

function wrongLength(field: string, expected: number): ConcordatError {
  return new ConcordatError('wire/length', `${field} does not have the length that the plan gives it (${expected})`, {
    place: field,
    remedy: 'both sides must run the same plan and compatible versions',
  });
}
