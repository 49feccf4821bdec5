import { factorOf, inverseFromCholesky, packedIndex } from '../linalg/symmetric.ts';
import { covarianceOf, type VarianceFit } from './gaussian-fit.ts';
import { componentsOf, varianceDerivatives } from './gaussian-likelihood.ts';
import { multiply, pack, transposeMultiply, transposeOf, unpack } from './gaussian-matrices.ts';

/**
 * All p coefficients of a fit: the common ones, then each study's own, in standardised columns and units of the fit.
 */
export interface AllCoefficients {
  /** δ = φ − θ₀. */
  readonly delta: Float64Array;
  /** Φ = (X'V⁻¹X)⁻¹, p × p. */
  readonly covariance: Float64Array;
  /** Of study i: the position among the p of each of its P columns, −1 where it has no coefficient. */
  readonly positions: readonly Int32Array[];
}

/**
 * With A = M_ss⁻¹M_sc: cov(α̂, β̂) = −AC, cov(α̂ᵢ, α̂ⱼ) = δᵢⱼM_ss⁻¹ + AᵢCAⱼ' (inverse of a partitioned matrix).
 */
export function allCoefficients({ sums, profile }: VarianceFit): AllCoefficients {
  const { p, common, columns } = sums;
  const c = common.length;
  const w = c + 1;
  const delta = new Float64Array(p);
  delta.set(profile.beta);
  // Every coefficient's regression on the common ones: rows of [I; −A].
  const onCommon = new Float64Array(p * c);
  for (let j = 0; j < c; j++) onCommon[j * c + j] = 1;
  let at = c;
  const positions = profile.studies.map(({ sums: { own }, regression }) => {
    const position = new Int32Array(columns).fill(-1);
    common.forEach((j, k) => (position[j] = k));
    own.forEach((j, a) => {
      position[j] = at + a;
      let value = regression[a * w + c]!;
      for (let k = 0; k < c; k++) {
        onCommon[(at + a) * c + k] = -regression[a * w + k]!;
        value -= regression[a * w + k]! * profile.beta[k]!;
      }
      delta[at + a] = value;
    });
    at += own.length;
    return position;
  });
  const half = multiply(onCommon, profile.covariance, p, c, c);
  const covariance = multiply(half, transposeOf(onCommon, p, c), p, c, p);
  profile.studies.forEach(({ sums: { own }, factor }, i) => {
    if (own.length === 0) return;
    const inverse = inverseFromCholesky(factor);
    own.forEach((j, a) =>
      own.forEach(
        (k, b) => (covariance[positions[i]![j]! * p + positions[i]![k]!]! += inverse[packedIndex(a, b)]!),
      ),
    );
  });
  return { delta, covariance, positions };
}

/**
 * D_c = X'V⁻¹G_cV⁻¹X for every variance parameter, p × p: P_c = −D_c of Kenward and Roger.
 */
function forms({ sums, profile, estimation }: VarianceFit, { positions }: AllCoefficients): Float64Array[] {
  const { p, columns } = sums;
  const q = sums.effects;
  const m = columns + 1;
  const size = estimation.structure.entries.length + profile.variances.residual.length;
  const d = Array.from({ length: size }, () => new Float64Array(p * p));
  profile.studies.forEach((study, i) => {
    for (const { index, s, residual } of componentsOf(estimation.structure, study.sums, i, q)) {
      const local = transposeMultiply(study.n, multiply(s, study.n, q, q, m), q, m, m);
      const rest = residual ? 1 / study.variance ** 2 : 0;
      scatter(d[index]!, p, positions[i]!, m, (k) => local[k]! + rest * study.sums.rest[k]!, 1);
    }
  });
  return d;
}

/** Adds a study's form, m × m, to that of all coefficients. */
function scatter(
  into: Float64Array,
  p: number,
  position: Int32Array,
  m: number,
  value: (k: number) => number,
  factor: number,
): void {
  for (let a = 0; a < m - 1; a++) {
    if (position[a]! < 0) continue;
    for (let b = 0; b < m - 1; b++) {
      if (position[b]! < 0) continue;
      into[position[a]! * p + position[b]!]! += factor * value(a * m + b);
    }
  }
}

/** l'Al over the few coefficients that l has. */
function quadratic(a: Float64Array, l: Float64Array): number {
  const p = l.length;
  const nonzero = [...l.keys()].filter((k) => l[k] !== 0);
  let sum = 0;
  for (const i of nonzero) for (const j of nonzero) sum += l[i]! * a[i * p + j]! * l[j]!;
  return sum;
}

export interface Denominator {
  /** Covariance matrix of all coefficients to use with these degrees of freedom, p × p. */
  readonly covariance: Float64Array;
  /** Degrees of freedom of l'β̂. */
  df(l: Float64Array): number | null;
}

/**
 * Kenward & Roger (Biometrics 1997;53:983) for restricted maximum likelihood and V linear in its parameters γ:
 * Φ_A = Φ + 2Φ{Σ W_cd(Q_cd − P_cΦP_d)}Φ, W = 2·{tr(PG_cPG_d)}⁻¹ (expected information), and for one contrast
 * df = 2/A, A = Σ W_cd(l'ΦP_cΦl)(l'ΦP_dΦl)/(l'Φl)² (their A₁ = A₂, ℓ = 1), as pbkrtest's vcovAdj and Lb_ddf.
 * Null where the information about γ is singular.
 */
export function kenwardRoger(fit: VarianceFit, all: AllCoefficients): Denominator | null {
  const { sums, profile, estimation } = fit;
  const { p, columns, effects: q } = sums;
  const m = columns + 1;
  const derivatives = varianceDerivatives(sums, estimation.structure, profile, true);
  const { size } = derivatives;
  const inverse = inverseOf(derivatives.traces, size);
  if (inverse === null) return null;
  const w = inverse.map((value) => 2 * value);
  const d = forms(fit, all);
  const u = new Float64Array(p * p);
  profile.studies.forEach((study, i) => {
    const components = componentsOf(estimation.structure, study.sums, i, q);
    for (const one of components) {
      for (const two of components) {
        const inner = multiply(multiply(one.s, study.h, q, q, q), two.s, q, q, q);
        const local = transposeMultiply(study.n, multiply(inner, study.n, q, q, m), q, m, m);
        const rest = one.residual && two.residual ? study.variance ** -3 : 0;
        const weight = w[one.index * size + two.index]!;
        scatter(u, p, all.positions[i]!, m, (k) => local[k]! + rest * study.sums.rest[k]!, weight);
      }
    }
  });
  // D has zeros between studies, which multiply() passes over: DΦ costs p²P, ΦDΦ p³.
  const changes = changesOf(d, all.covariance, p);
  for (let c = 0; c < size; c++) {
    const weighted = new Float64Array(p * p);
    for (let e = 0; e < size; e++)
      for (let k = 0; k < weighted.length; k++) weighted[k]! += w[c * size + e]! * d[e]![k]!;
    // (ΣW D)·ΦD_c, whose transpose is D_cΦ(ΣW D).
    const right = transposeOf(multiply(d[c]!, all.covariance, p, p, p), p, p);
    const product = multiply(weighted, right, p, p, p);
    for (let k = 0; k < u.length; k++) u[k]! -= product[k]!;
  }
  const correction = multiply(multiply(all.covariance, u, p, p, p), all.covariance, p, p, p);
  const covariance = all.covariance.slice();
  for (let i = 0; i < p; i++)
    for (let j = 0; j < p; j++) covariance[i * p + j]! += correction[i * p + j]! + correction[j * p + i]!;
  return {
    covariance,
    df: (l) =>
      ratio(
        changes.map((change) => quadratic(change, l)),
        w,
        quadratic(all.covariance, l),
      ),
  };
}

/** ΦD_cΦ = ∂Φ/∂γ_c. */
function changesOf(d: readonly Float64Array[], covariance: Float64Array, p: number): Float64Array[] {
  return d.map((form) => multiply(covariance, multiply(form, covariance, p, p, p), p, p, p));
}

/**
 * Satterthwaite's degrees of freedom of l'β̂, 2(l'Φl)²/(g'Ag): g the gradient of l'Φl by the variance parameters, A their
 * covariance from the observed information of the criterion, as lmerTest (Kuznetsova et al., J Stat Softw 2017;82(13)).
 * What is at the boundary is left out: there g is zero.
 */
export function satterthwaite(fit: VarianceFit, all: AllCoefficients): Denominator | null {
  const { sums, profile, estimation, lambda, zero } = fit;
  const { p } = sums;
  const q = sums.effects;
  const d = varianceDerivatives(sums, estimation.structure, profile, estimation.restricted);
  const { size } = d;
  const entries = size - 1;
  const variance = profile.variances.residual[0]!;
  const { psi, jacobian, curvature } = covarianceOf(lambda, q, lambda.length);
  const free = [...lambda.keys()].filter((k) => zero[k] !== true);
  // x = (Λ's free entries, log σ²); γ = σ²·(ΛΛ', 1).
  const score = Float64Array.from({ length: size }, (_, a) => -(d.trace[a]! - d.quadratic[a]!) / 2);
  const order = free.length + 1;
  const relative = estimation.structure.entries.map(([a, b]) => psi[a * q + b]!);
  const by = (a: number, x: number): number => {
    if (x < free.length) return a < entries ? variance * jacobian[a]![free[x]!]! : 0;
    return variance * (a < entries ? relative[a]! : 1);
  };
  const information = new Float64Array(order * order);
  for (let x = 0; x < order; x++) {
    for (let y = 0; y < order; y++) {
      let sum = 0;
      for (let a = 0; a < size; a++) {
        for (let b = 0; b < size; b++)
          sum += by(a, x) * (d.quadratics[a * size + b]! - d.traces[a * size + b]! / 2) * by(b, y);
        sum -= score[a]! * second(a, x, y);
      }
      information[x * order + y] = sum;
    }
  }
  function second(a: number, x: number, y: number): number {
    const [k, l] = [free[x], free[y]];
    if (k === undefined && l === undefined) return by(a, order - 1);
    if (k === undefined || l === undefined) return a < entries ? variance * jacobian[a]![(k ?? l)!]! : 0;
    return a < entries ? variance * curvature[a]![packedIndex(k, l)]! : 0;
  }
  const inverse = inverseOf(information, order);
  if (inverse === null) return null;
  const changes = changesOf(forms(fit, all), all.covariance, p);
  return {
    covariance: all.covariance,
    df: (l) => {
      const g = changes.map((change) => quadratic(change, l));
      const gx = Array.from({ length: order }, (_, x) =>
        g.reduce((sum, value, a) => sum + value * by(a, x), 0),
      );
      return ratio(gx, inverse, quadratic(all.covariance, l));
    },
  };
}

/** 2(l'Φl)²/Σ W_cd g_c g_d. */
function ratio(g: readonly number[], w: Float64Array, variance: number): number | null {
  const size = g.length;
  let sum = 0;
  for (let c = 0; c < size; c++) for (let e = 0; e < size; e++) sum += w[c * size + e]! * g[c]! * g[e]!;
  const df = (2 * variance ** 2) / sum;
  return Number.isFinite(df) && df > 0 ? df : null;
}

/** Null where the matrix is not positive definite. */
function inverseOf(matrix: Float64Array, order: number): Float64Array | null {
  const factor = factorOf(pack(matrix, order));
  return factor === null ? null : unpack(inverseFromCholesky(factor), order);
}
