import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { levelOf } from './spec.ts';
import type { FittedCoefficient, OneStageSpec } from './types.ts';

/** A study's own part of a fit, as it told it. */
export interface StudyEffects {
  /** Its stratified parameters, in standardised columns. */
  readonly values: Float64Array;
  /** Inverse of their information, packed. */
  readonly covariance: Float64Array;
  /** dα̂/dψ = −I_αα⁻¹I_αψ, row by row (s × m). */
  readonly slopes: Float64Array;
  /** Means of the treatment's columns before they were centred within the study. */
  readonly treatmentMeans: Float64Array;
  /** Empirical Bayes predictions of the random effects, and their standard errors given ψ̂. */
  readonly modes: Float64Array;
  readonly modeSes: Float64Array;
}

/** A study's own parameter with more variance than this has no estimate, such as a log hazard of an interval without events. */
const NO_INFORMATION = 1e15;

/** A coefficient as a linear function of (ψ, the studies' own parameters). */
interface Row {
  readonly term: string;
  readonly study: number | null;
  /** Weight of each coordinate of ψ. */
  readonly common: Map<number, number>;
  /** Weight of each of the study's own parameters. */
  readonly own: Map<number, number>;
}

/**
 * From standardised columns z = (x − c)/s to the columns as they are: βⱼ = γⱼ/sⱼ; an intercept takes −Σ γⱼcⱼ/sⱼ, and a
 * study's own intercept (or what stands in its place: its thresholds, with the other sign, or log hazards) also −γ_t·t̄ where
 * the treatment was centred within the study. With V the covariance of ψ̂ and
 * S = dα̂/dψ = −I_αα⁻¹I_αψ: cov(α̂, ψ̂) = SV and var(α̂) = I_αα⁻¹ + SVS' (inverse of a partitioned matrix).
 */
export function originalScale(
  spec: OneStageSpec,
  scaling: Scaling,
  common: readonly number[],
  psi: Float64Array,
  covariance: Float64Array,
  effects: readonly (StudyEffects | null)[] | null,
): { readonly coefficients: readonly FittedCoefficient[]; readonly vcov: Float64Array } {
  const { centre, scale } = scaling;
  const shift = (j: number): number =>
    j < spec.columns && j !== spec.intercept ? -centre[j]! / scale[j]! : 0;
  const factor = (j: number): number => (j < spec.columns ? 1 / scale[j]! : 1);
  /** Weights of the common coefficients in an intercept, or what stands in its place, of a study (null: of all). */
  const shifted = (study: StudyEffects | null, j: number): Map<number, number> => {
    const weights = new Map<number, number>();
    const sign = levelOf(spec, j);
    common.forEach((i, k) => {
      const arm = spec.treatment.indexOf(i);
      const mean = study === null || arm < 0 || !spec.centredTreatment ? 0 : study.treatmentMeans[arm]!;
      const weight = sign * (shift(i) - mean);
      if (weight !== 0) weights.set(k, weight);
    });
    return weights;
  };
  const rows: Row[] = common.map((j, k) => ({
    term: spec.terms[j]!,
    study: null,
    common: shifted(null, j).set(k, factor(j)),
    own: new Map(),
  }));
  const m = psi.length;
  effects?.forEach((effect, i) => {
    if (effect === null) return;
    spec.stratified.forEach((j, a) => {
      if (!(effect.covariance[packedIndex(a, a)]! < NO_INFORMATION)) return;
      rows.push({
        term: spec.terms[j]!,
        study: i,
        common: shifted(effect, j),
        own: new Map([[a, factor(j)]]),
      });
    });
  });

  // A row's weight on ψ once the study's own parameters are written as Sψ plus their own error.
  const total = rows.map((row) => {
    const weights = new Float64Array(m);
    for (const [k, w] of row.common) weights[k]! += w;
    if (row.study !== null) {
      const { slopes } = effects![row.study]!;
      for (const [a, w] of row.own) for (let k = 0; k < m; k++) weights[k]! += w * slopes[a * m + k]!;
    }
    return weights;
  });
  const transformed = total.map((weights) => multiply(covariance, weights, m));
  const vcov = new Float64Array(packedLength(rows.length));
  rows.forEach((row, i) => {
    for (let j = 0; j <= i; j++) {
      const other = rows[j]!;
      let sum = 0;
      for (let k = 0; k < m; k++) sum += total[i]![k]! * transformed[j]![k]!;
      if (row.study !== null && row.study === other.study) {
        const own = effects![row.study]!.covariance;
        for (const [a, w] of row.own) for (const [b, v] of other.own) sum += w * v * own[packedIndex(a, b)]!;
      }
      vcov[packedIndex(i, j)] = sum;
    }
  });
  const coefficients = rows.map((row, i): FittedCoefficient => {
    let estimate = 0;
    for (const [k, w] of row.common) estimate += w * psi[k]!;
    if (row.study !== null) for (const [a, w] of row.own) estimate += w * effects![row.study]!.values[a]!;
    const variance = vcov[packedIndex(i, i)]!;
    return {
      term: row.term,
      ...(row.study === null ? {} : { study: row.study }),
      estimate,
      se: variance > 0 ? Math.sqrt(variance) : null,
      df: null,
    };
  });
  return { coefficients, vcov };

  function multiply(packed: Float64Array, x: Float64Array, n: number): Float64Array {
    const y = new Float64Array(n);
    for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) y[a]! += packed[packedIndex(a, b)]! * x[b]!;
    return y;
  }
}
