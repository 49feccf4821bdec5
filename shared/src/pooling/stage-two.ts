import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Heterogeneity, JointPool, PooledTerm, SeparatePool, Warning } from '../plan/result-types.ts';
import type { Analysis } from '../plan/types.ts';
import { acrossTrial } from './across-trial.ts';
import { emptyTerm, waldTerm } from './inference.ts';
import { poolJointly } from './multivariate.ts';
import type { MultivariatePool } from './multivariate.ts';
import { covarianceOf, estimateOf } from './study-estimates.ts';
import type { StudyEstimates, TermPool } from './study-estimates.ts';
import { pool } from './univariate.ts';
import { poolingWarning } from './warnings.ts';

export interface StageTwo {
  /** The pooled terms in the plan's order, then the across-trial terms. */
  readonly pooled: readonly PooledTerm[];
  /** Of `heterogeneity_term`, from its univariate pooling; null where no study estimates it. */
  readonly heterogeneity: Heterogeneity | null;
  /** The first within-trial interaction where there is one, else the first pooled term. */
  readonly heterogeneity_term: string | null;
  /**
   * Percent, of `heterogeneity_term`, in the order of the studies; null where a study does not estimate it.
   */
  readonly weights: readonly (number | null)[];
  /** Null where terms were pooled one by one. */
  readonly joint: JointPool | null;
  /** Where several terms are pooled: each by itself. */
  readonly separate: readonly SeparatePool[];
  /** Active arms against each other, and within-trial minus across-trial interactions. */
  readonly contrasts: readonly PooledTerm[];
  readonly warnings: readonly Warning[];
}

/**
 * The second stage of a two-stage analysis: one term by `pool`; several jointly by `poolJointly` (FE, ML,
 * REML) or else one by one; across-trial interactions by `metaRegression`. Studies that estimate none of
 * the terms are skipped, terms that no study estimates are null, each with a warning.
 */
export function stageTwo(analysis: Analysis, studies: readonly StudyEstimates[]): StageTwo {
  const { terms } = analysis.pool;
  const warnings: Warning[] = [];
  if (analysis.effectModifier?.separate === false) warnings.push(poolingWarning('ecological-bias'));

  const byTerm = terms.map((term): TermPool => {
    const members = studies.flatMap((study, i) => (study.terms.includes(term) ? [i] : []));
    if (members.length === 0) {
      warnings.push(poolingWarning('no-study-estimates', term));
      return { term, members, single: null };
    }
    const yi = members.map((i) => estimateOf(studies[i]!, term));
    const vi = members.map((i) => covarianceOf(studies[i]!, term, term));
    return { term, members, single: pool(term, yi, vi, analysis.pool) };
  });
  const joint = poolTogether(analysis, studies, byTerm, warnings);
  const pooled = byTerm.map(
    ({ term, single }) =>
      joint?.pooled.find((candidate) => candidate.term === term) ?? single?.pooled ?? emptyTerm(term),
  );
  const interaction = analysis.columns.find(({ role, term }) => role === 'within' && terms.includes(term));
  const primary = byTerm.find(({ term }) => term === interaction?.term) ?? byTerm[0];
  for (const { term, single } of byTerm) {
    const isJoint = joint !== null && joint.joint.terms.includes(term);
    for (const warning of single?.warnings ?? []) {
      // A jointly pooled term's own fit is shown for its heterogeneity only.
      if (!isJoint || (term === primary?.term && warning.code.startsWith('tau2-'))) warnings.push(warning);
    }
  }
  const across = acrossTrial(analysis, studies, byTerm, joint);
  warnings.push(...across.warnings);
  const weights = new Array<number | null>(studies.length).fill(null);
  primary?.members.forEach((study, at) => (weights[study] = primary.single!.weights[at]!));
  return {
    pooled: [...pooled, ...across.terms],
    heterogeneity: primary?.single?.heterogeneity ?? null,
    heterogeneity_term: primary?.single ? primary.term : null,
    weights,
    joint: joint?.joint ?? null,
    separate:
      terms.length === 1
        ? []
        : byTerm.flatMap(({ term, single }) =>
            single === null ? [] : [{ term, pooled: single.pooled, heterogeneity: single.heterogeneity }],
          ),
    contrasts: [...armContrasts(analysis, joint), ...across.contrasts],
    warnings,
  };
}

/** Null where fewer than two terms can be pooled together. */
function poolTogether(
  analysis: Analysis,
  studies: readonly StudyEstimates[],
  byTerm: readonly TermPool[],
  warnings: Warning[],
): MultivariatePool | null {
  const { tau2 } = analysis.pool;
  const estimable = byTerm.filter(({ members }) => members.length > 0);
  if (estimable.length < 2) return null;
  if (tau2 !== 'FE' && tau2 !== 'ML' && tau2 !== 'REML') {
    warnings.push(poolingWarning('joint-not-available'));
    return null;
  }
  const together = estimable.filter(({ members }) => tau2 === 'FE' || members.length > 1);
  if (together.length > 0) {
    for (const { term } of estimable.filter((candidate) => !together.includes(candidate))) {
      warnings.push(poolingWarning('term-in-one-study', term));
    }
  }
  if (together.length < 2) return null;
  const names = together.map(({ term }) => term);
  const vectors = studies.flatMap((study) => {
    const present = names.filter((term) => study.terms.includes(term));
    if (present.length === 0) return [];
    const vcov = new Float64Array(packedLength(present.length));
    present.forEach((term, a) => {
      for (let b = 0; b <= a; b++) vcov[packedIndex(a, b)] = covarianceOf(study, term, present[b]!);
    });
    const y = Float64Array.from(present, (term) => estimateOf(study, term));
    return [{ terms: present.map((term) => names.indexOf(term)), y, vcov }];
  });
  const result = poolJointly(names, vectors, analysis.pool);
  warnings.push(...(result?.warnings ?? [poolingWarning('joint-not-converged')]));
  return result;
}

/** Differences between the active arms of a trial with several, from the joint estimate. */
function armContrasts(analysis: Analysis, joint: MultivariatePool | null): PooledTerm[] {
  if (joint === null) return [];
  const { terms } = joint.joint;
  const arms = analysis.columns.filter(({ role, term }) => role === 'treatment' && terms.includes(term));
  return arms.flatMap((right, at) =>
    arms.slice(0, at).map((left) => {
      const i = terms.indexOf(right.term);
      const j = terms.indexOf(left.term);
      const estimate = joint.pooled[i]!.estimate! - joint.pooled[j]!.estimate!;
      const { vcov } = joint;
      const variance = vcov[packedIndex(i, i)]! + vcov[packedIndex(j, j)]! - 2 * vcov[packedIndex(i, j)]!;
      return waldTerm(
        `${right.term} - ${left.term}`,
        estimate,
        variance,
        joint.df,
        analysis.pool.level,
        null,
      );
    }),
  );
}
