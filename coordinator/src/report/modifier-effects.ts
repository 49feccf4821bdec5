/** What an analysis says of the treatment effect over its effect modifier, as numbers. Pure. */
import { fromRows, packedIndex, toRows } from '@concordat/shared/linalg/symmetric.ts';
import { rcsBasis } from '@concordat/shared/models/rcs.ts';
import { normalQuantile, tQuantile } from '@concordat/shared/numerics/distributions.ts';
import type { AnalysisResult, OneStageResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, Basis, Code, DesignColumn } from '@concordat/shared/plan/types.ts';
import { fitAt, type StudyVector } from '@concordat/shared/pooling/multivariate-likelihood.ts';
import { floatingVariances } from './floating.ts';
import { includedStudies } from './view.ts';

/** Estimates of several terms with their covariance matrix, on the model's scale. */
export interface JointEstimate {
  readonly terms: readonly string[];
  readonly estimates: readonly number[];
  readonly vcov: readonly (readonly number[])[];
  /** Of t quantiles; null: normal. */
  readonly df: number | null;
}

export interface Effect {
  readonly estimate: number;
  readonly se: number;
}

/** One arm's columns, at one visit of a repeated outcome. */
export interface ModifierGroup {
  /** The treatment's term; unique among the groups. */
  readonly treatment: string;
  readonly within: readonly ModifierColumn[];
  /** The across-trial columns of a one-stage model, in the order of `within`; empty in two stages. */
  readonly across: readonly ModifierColumn[];
}

interface ModifierColumn {
  readonly term: string;
  readonly basis: Exclude<Basis, { kind: 'intercept' | 'treatment' | 'visit' | 'study-mean' }>;
}

/** A point of the curve of the treatment effect relative to the effect at the reference value. */
export interface CurvePoint extends Effect {
  readonly x: number;
}

export interface Subgroup extends Effect {
  readonly level: Code;
  /** Floating standard error; null where there is none. */
  readonly floatingSe: number | null;
}

export interface Subgroups {
  readonly levels: readonly Subgroup[];
  /** The treatment effect at the mix of levels that the subgroups are anchored at. */
  readonly overall: Effect;
  /** Largest relative error of a difference's standard error as √(λᵢ + λⱼ) gives it; null without floating errors. */
  readonly error: number | null;
}

/** Estimates and covariances of everything that was estimated together; null where the result does not hold them. */
export function jointEstimate(outcome: AnalysisResult, planned: Analysis): JointEstimate | null {
  return outcome.approach === 'one-stage' ? oneStageJoint(outcome) : twoStageJoint(outcome, planned);
}

function oneStageJoint({ coefficients, vcov }: OneStageResult): JointEstimate | null {
  if (coefficients.length === 0 || vcov.length !== coefficients.length) return null;
  const dfs = coefficients.flatMap(({ df }) => df ?? []);
  return {
    terms: coefficients.map(({ term }) => term),
    estimates: coefficients.map(({ estimate }) => estimate ?? Number.NaN),
    vcov,
    // The most cautious of the coefficients' own.
    df: dfs.length === 0 ? null : Math.min(...dfs),
  };
}

/**
 * The covariance of estimates pooled jointly, from the studies' own and the between-study covariance Σ̂ that the result
 * holds: (Σ Zᵢ'(Sᵢ + ZᵢΣ̂Zᵢ')⁻¹Zᵢ)⁻¹, times the scale that the published standard errors carry (HKSJ).
 */
function twoStageJoint(outcome: TwoStageResult, { pool, columns }: Analysis): JointEstimate | null {
  const { joint } = outcome;
  if (joint === null) return alone(outcome, columns);
  const pooled = joint.terms.map((term) => outcome.pooled.find((entry) => entry.term === term));
  const studies = includedStudies(outcome).flatMap(({ estimates = [], vcov = [] }): StudyVector[] => {
    const at = joint.terms.flatMap((term, j) => {
      const own = estimates.findIndex((entry) => entry.term === term);
      return own < 0 ? [] : [{ j, own }];
    });
    if (at.length === 0) return [];
    const block = fromRows(at.map(({ own: a }) => at.map(({ own: b }) => vcov[a]?.[b] ?? Number.NaN)));
    return [
      {
        terms: at.map(({ j }) => j),
        y: Float64Array.from(at, ({ own }) => estimates[own]!.estimate),
        vcov: block,
      },
    ];
  });
  try {
    const fit = fitAt(studies, fromRows(joint.sigma), pool.tau2 === 'REML');
    const published = pooled[0]?.se ?? Number.NaN;
    const scale = (published * published) / fit.vcov[0]!;
    return {
      terms: joint.terms,
      estimates: pooled.map((entry) => entry?.estimate ?? Number.NaN),
      vcov: toRows(fit.vcov.map((value) => value * scale)),
      df: pooled[0]?.df ?? null,
    };
  } catch {
    return null;
  }
}

/** Terms pooled one by one have no covariances: enough for a single interaction. */
function alone({ pooled }: TwoStageResult, columns: Analysis['columns']): JointEstimate | null {
  const within = columns.filter(({ role }) => role === 'within');
  const own = pooled.find(({ term }) => term === within[0]?.term);
  if (within.length !== 1 || own?.estimate == null || own.se === null) return null;
  return { terms: [own.term], estimates: [own.estimate], vcov: [[own.se * own.se]], df: own.df };
}

export function criticalValue({ df }: Pick<JointEstimate, 'df'>, level: number): number {
  const upper = (1 + level) / 2;
  return df === null ? normalQuantile(upper) : tQuantile(upper, df);
}

/** Σ wⱼβⱼ and its standard error; null where a term is not estimated. */
export function linearCombination(
  { terms, estimates, vcov }: JointEstimate,
  weights: readonly (readonly [term: string, weight: number])[],
): Effect | null {
  const at = weights.map(([term, weight]) => ({ at: terms.indexOf(term), weight }));
  let [estimate, variance] = [0, 0];
  for (const { at: i, weight } of at) {
    estimate += weight * (estimates[i] ?? Number.NaN);
    for (const { at: j, weight: other } of at) variance += weight * other * (vcov[i]?.[j] ?? Number.NaN);
  }
  return Number.isFinite(estimate) && Number.isFinite(variance)
    ? { estimate, se: Math.sqrt(Math.max(0, variance)) }
    : null;
}

/** The groups of an analysis with an effect modifier whose within-trial information is kept apart, or merged. */
export function modifierGroups({ columns }: Analysis): ModifierGroup[] {
  const of = (role: DesignColumn['role'], treatment: DesignColumn): ModifierColumn[] =>
    columns.flatMap((column) => {
      if (column.role !== role || key(column) !== key(treatment)) return [];
      const bases = column.product.map((basis) => (basis.kind === 'study-mean' ? basis.of : basis));
      const basis = bases.find(({ kind }) => kind === 'linear' || kind === 'level' || kind === 'rcs');
      return basis === undefined ? [] : [{ term: column.term, basis: basis as ModifierColumn['basis'] }];
    });
  return columns
    .filter(({ role }) => role === 'treatment')
    .map((treatment) => ({
      treatment: treatment.term,
      within: of('within', treatment),
      across: of('across', treatment),
    }))
    .filter(({ within }) => within.length > 0);
}

/** Arm and visit of a column. */
const key = ({ product }: DesignColumn): string =>
  product
    .map((basis) =>
      basis.kind === 'treatment' ? `arm ${basis.arm}` : basis.kind === 'visit' ? `visit ${basis.visit}` : '',
    )
    .join('');

/** Each basis of the modifier at `x`. */
function basesAt({ within }: ModifierGroup, x: number): number[] {
  return within.map(({ basis }) => (basis.kind === 'rcs' ? rcsBasis(x, basis.knots, basis.index) : x));
}

/** The treatment effect at each of `values` of the modifier, less the effect at `reference`: within-trial terms alone. */
export function effectCurve(
  joint: JointEstimate,
  group: ModifierGroup,
  reference: number,
  values: readonly number[],
): CurvePoint[] | null {
  const at = basesAt(group, reference);
  const points = values.map((x) => {
    const weights = basesAt(group, x).map((value, j) => [group.within[j]!.term, value - at[j]!] as const);
    const effect = linearCombination(joint, weights);
    return effect === null ? null : { x, ...effect };
  });
  return points.every((point) => point !== null) ? points : null;
}

/**
 * Means of the modifier's columns over the studies, in the order of `group.within`; null where they are not known. One
 * stage: weighted by participants, since the model says what the effect is at any mean. Two stages: by the precision
 * with which each study enters the pooled treatment effect, whose anchor they are.
 */
export function modifierMeans(outcome: AnalysisResult, group: ModifierGroup): number[] | null {
  const studies = includedStudies(outcome).flatMap((study) => {
    if (study.modifier_means === undefined) return [];
    const means = group.within.map((_, j) => study.modifier_means?.[j]?.mean ?? Number.NaN);
    return [{ means, weight: weightOf(outcome, group, study) }];
  });
  const total = studies.reduce((sum, { weight }) => sum + weight, 0);
  if (!(total > 0)) return null;
  const means = group.within.map(
    (_, j) => studies.reduce((sum, { means: own, weight }) => sum + weight * own[j]!, 0) / total,
  );
  return means.every(Number.isFinite) ? means : null;
}

function weightOf(
  outcome: AnalysisResult,
  { treatment }: ModifierGroup,
  { participants, estimates }: AnalysisResult['studies'][number],
): number {
  if (outcome.approach === 'one-stage') {
    const { left_out: _, ...arms } = participants ?? {};
    return Object.values(arms).reduce((sum, n) => sum + n, 0);
  }
  const own = estimates?.find(({ term }) => term === treatment);
  const at = outcome.joint?.terms.indexOf(treatment) ?? -1;
  const between = outcome.joint?.sigma[at]?.[at] ?? 0;
  return own === undefined ? 0 : 1 / (own.se * own.se + between);
}

/** Weights of the treatment effect in a study whose modifier has these means. */
function overallWeights(group: ModifierGroup, means: readonly number[]): [string, number][] {
  return [[group.treatment, 1], ...group.across.map(({ term }, j): [string, number] => [term, means[j]!])];
}

/** The treatment effect at the modifier's mean: in a one-stage model that needs the across-trial terms. */
export function overallEffect(
  joint: JointEstimate,
  group: ModifierGroup,
  means: readonly number[],
): Effect | null {
  return linearCombination(joint, overallWeights(group, means));
}

/**
 * Treatment effects by level of a factor whose differences hold within-trial information alone: θ_k = θ̄ + Σ_c γ_c(1{c =
 * k} − m̄_c), γ the within-trial interactions and θ̄ the treatment effect at the mix m̄ of levels ("floating" subgroup
 * effects; Godolphin, White, Tierney and Fisher 2023, Res Synth Methods 14:68). Null: not a factor, or a term is missing.
 */
export function subgroups(
  joint: JointEstimate,
  group: ModifierGroup,
  reference: Code,
  means: readonly number[],
): Subgroups | null {
  const { within } = group;
  if (!within.every(({ basis }) => basis.kind === 'level')) return null;
  const overall = overallEffect(joint, group, means);
  const levels: readonly Code[] = [
    reference,
    ...within.flatMap(({ basis }) => (basis.kind === 'level' ? [basis.level] : [])),
  ];
  const rows = levels.map((_, k) => [
    ...overallWeights(group, means),
    ...within.map(({ term }, c): [string, number] => [term, (c + 1 === k ? 1 : 0) - means[c]!]),
  ]);
  const effects = rows.map((weights) => linearCombination(joint, weights));
  if (overall === null || effects.some((effect) => effect === null)) return null;
  const floating = floatingVariances(covarianceOf(joint, rows));
  return {
    overall,
    error: floating?.error ?? null,
    levels: levels.map((level, k) => ({
      level,
      ...effects[k]!,
      floatingSe: floating === null ? null : Math.sqrt(floating.variances[k]!),
    })),
  };
}

/** Packed covariance of several linear combinations. */
function covarianceOf(
  { terms, vcov }: JointEstimate,
  rows: readonly (readonly (readonly [string, number])[])[],
): Float64Array {
  const packed = new Float64Array((rows.length * (rows.length + 1)) / 2);
  rows.forEach((a, i) =>
    rows.slice(0, i + 1).forEach((b, j) => {
      let sum = 0;
      for (const [s, u] of a) {
        for (const [t, v] of b) sum += u * v * (vcov[terms.indexOf(s)]?.[terms.indexOf(t)] ?? Number.NaN);
      }
      packed[packedIndex(i, j)] = sum;
    }),
  );
  return packed;
}
