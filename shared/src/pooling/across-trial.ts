import { ConcordatError } from '../errors.ts';
import type { PooledTerm, Warning } from '../plan/result-types.ts';
import type { Analysis, Code, DesignColumn } from '../plan/types.ts';
import { emptyTerm, waldTerm } from './inference.ts';
import { metaRegression } from './meta-regression.ts';
import type { MetaRegression } from './meta-regression.ts';
import type { MultivariatePool } from './multivariate.ts';
import { covarianceOf, estimateOf } from './study-estimates.ts';
import type { StudyEstimates, TermPool } from './study-estimates.ts';
import { poolingWarning } from './warnings.ts';

interface AcrossTrial {
  /** One across-trial term for each within-trial interaction. */
  readonly terms: readonly PooledTerm[];
  /** Within minus across. */
  readonly contrasts: readonly PooledTerm[];
  readonly warnings: readonly Warning[];
}

/** The regression of one arm's effect on the study means: of the studies at these indices. */
interface Association {
  readonly effect: string;
  readonly members: readonly number[];
  readonly fit: MetaRegression;
}

/**
 * Across-trial interactions of each active arm: the meta-regression of the arm's effect (at the study mean,
 * the modifier being centred within studies) on the study means of the modifier's columns; and their
 * differences from the within-trial interactions. Empty where the analysis does not keep the two apart, or
 * does not pool the effect.
 */
export function acrossTrial(
  analysis: Analysis,
  studies: readonly StudyEstimates[],
  byTerm: readonly TermPool[],
  joint: MultivariatePool | null,
): AcrossTrial {
  const terms: PooledTerm[] = [];
  const contrasts: PooledTerm[] = [];
  const warnings: Warning[] = [];
  if (analysis.effectModifier?.separate !== true) return { terms, contrasts, warnings };
  const pooledColumns = (role: DesignColumn['role']): DesignColumn[] =>
    analysis.columns.filter(
      (column) => column.role === role && byTerm.some(({ term }) => term === column.term),
    );
  for (const effect of pooledColumns('treatment')) {
    const within = pooledColumns('within').filter((column) => armOf(column) === armOf(effect));
    const names = within.map(({ term }) => term.replace(/\.within$/, '.across'));
    const association = regress(analysis, studies, effect.term, names);
    within.forEach((column, j) => {
      const across = names[j]!;
      const label = `${column.term} - ${across}`;
      if (association === null) {
        warnings.push(poolingWarning('across-not-estimable', across));
        terms.push(emptyTerm(across));
        contrasts.push(emptyTerm(label));
        return;
      }
      const slope = association.fit.coefficients[j + 1]!;
      terms.push(slope);
      warnings.push(...association.fit.warnings.map((warning) => ({ ...warning, term: across })));
      const single = byTerm.find(({ term }) => term === column.term)!;
      const jointly = joint?.pooled.find(({ term }) => term === column.term);
      const inner = jointly ?? single.single?.pooled;
      if (inner === undefined) {
        contrasts.push(emptyTerm(label));
        return;
      }
      const correlation = jointly === undefined ? correlationOf(studies, single, association, j + 1) : 0;
      const variance = inner.se! ** 2 + slope.se! ** 2 - 2 * correlation * inner.se! * slope.se!;
      const df = slope.df === null ? null : Math.min(slope.df, inner.df ?? Infinity);
      contrasts.push(
        waldTerm(label, inner.estimate! - slope.estimate!, variance, df, analysis.pool.level, null),
      );
    });
  }
  return { terms, contrasts, warnings };
}

function armOf(column: DesignColumn): Code | null {
  return column.product.find((basis) => basis.kind === 'treatment')?.arm ?? null;
}

/** Null where there are too few studies, or their means do not differ. */
function regress(
  analysis: Analysis,
  studies: readonly StudyEstimates[],
  effect: string,
  names: readonly string[],
): Association | null {
  const members = studies.flatMap(({ terms, modifierMeans }, i) =>
    terms.includes(effect) && modifierMeans?.length === names.length ? [i] : [],
  );
  if (names.length === 0 || members.length <= names.length + 1) return null;
  const yi = members.map((i) => estimateOf(studies[i]!, effect));
  const vi = members.map((i) => covarianceOf(studies[i]!, effect, effect));
  const x = members.map((i) => [1, ...studies[i]!.modifierMeans!.map(({ mean }) => mean)]);
  try {
    return { effect, members, fit: metaRegression([effect, ...names], yi, vi, x, analysis.pool) };
  } catch (error) {
    if (error instanceof ConcordatError && error.code === 'numerics/not-positive-definite') return null;
    throw error;
  }
}

/**
 * Correlation of a within-trial interaction pooled by itself, Σaᵢyᵢ, with the slope Σbᵢtᵢ of the effects on
 * the study means: Σ aᵢbᵢ cov(yᵢ, tᵢ) / √(Σaᵢ²(vᵢ + τ²) · Σbᵢ²(sᵢ + τₜ²)), within-study covariances only
 * (the between-study one is not estimated then). HKSJ scales both standard errors and leaves it.
 *
 * Where interaction and effect are pooled jointly it is zero: a generalised least squares estimate is
 * uncorrelated with every linear function of the estimates whose expectation is zero under its model, and
 * the slope is one.
 */
function correlationOf(
  studies: readonly StudyEstimates[],
  within: TermPool,
  { effect, members, fit }: Association,
  coefficient: number,
): number {
  const { weights, heterogeneity } = within.single!;
  const b = fit.linear[coefficient]!;
  let covariance = 0;
  let inner = 0;
  within.members.forEach((index, at) => {
    const study = studies[index]!;
    const a = weights[at]! / 100;
    inner += a * a * (covarianceOf(study, within.term, within.term) + (heterogeneity.tau2 ?? 0));
    const regressed = members.indexOf(index);
    if (regressed >= 0) covariance += a * b[regressed]! * covarianceOf(study, within.term, effect);
  });
  const outer = members.reduce(
    (sum, index, at) =>
      sum + b[at]! ** 2 * (covarianceOf(studies[index]!, effect, effect) + fit.heterogeneity.tau2!),
    0,
  );
  return covariance / Math.sqrt(inner * outer);
}
