import { cholesky, inverseFromCholesky, logDetFromCholesky } from '../linalg/symmetric.ts';
import {
  add,
  block,
  columnsOf,
  dot,
  forward,
  leading,
  multiply,
  multiplyTranspose,
  pack,
  plus,
  subtract,
  traceOf,
  traceProduct,
  transposeMultiply,
  transposeOf,
  unpack,
} from './gaussian-matrices.ts';
import type { StudySums, Sums } from './gaussian-sums.ts';

/**
 * The linear mixed model of k studies, study i with its own random effects: yᵢ ~ N(Xᵢβᵢ, Vᵢ), Vᵢ = σᵢ²I + ZᵢΨZᵢ', where
 * βᵢ holds the c common coefficients and the study's sᵢ own; in the notation of gaussian-sums.ts, with T⁻ the
 * pseudo-inverse of T, J = (I + TΨ/σ²)⁻¹, all per study:
 *
 *   N = Z'V⁻¹X⁺ = JB/σ², H = Z'V⁻¹Z = JT/σ², X⁺'V⁻¹X⁺ = E/σ² + Γ'N,
 *   X⁺'V⁻²X⁺ = E/σ⁴ + N'T⁻N, Z'V⁻²X⁺ = HT⁻N, X⁺'V⁻³X⁺ = E/σ⁶ + N'T⁻HT⁻N.
 *
 * So with V = Σ γ_c G_c linear in its parameters γ (entries of Ψ: G = ZSZ'; residual variances: G = I, where T⁻ takes
 * the part of S), every quantity that likelihood, score and information need is a small function of the sums. A study's
 * own coefficients are eliminated at once: M_ss = X_s'V⁻¹X_s = LL', R = [I; −M_ss⁻¹M_su], M̃ = R'MR (Schur complement).
 *
 * The work is O(Σ(P² + sᵢ²P)) an evaluation, whatever the number of rows.
 */

/** Which entries of Ψ are parameters, and how the residual variance is shared. */
export interface Structure {
  /** Positions (a, b), a ≥ b, of the free entries of Ψ. */
  readonly entries: readonly (readonly [number, number])[];
  /** One residual variance, or one a study. */
  readonly residual: 'common' | 'stratified';
}

/** γ. */
export interface Variances {
  /** Ψ, q × q. */
  readonly psi: Float64Array;
  /** σ², one or one a study. */
  readonly residual: Float64Array;
}

/** One study with its own coefficients eliminated; u: the common columns, then r (c + 1 of them). */
export interface ReducedStudy {
  readonly sums: StudySums;
  readonly variance: number;
  /** H, q × q. */
  readonly h: Float64Array;
  /** N, q × m. */
  readonly n: Float64Array;
  /** NR and R'ER over u. */
  readonly nu: Float64Array;
  readonly rest: Float64Array;
  /** M_ss⁻¹M_su, s × (c + 1). */
  readonly regression: Float64Array;
  /** Cholesky factor of M_ss, packed. */
  readonly factor: Float64Array;
}

/** The model at γ, its coefficients at their best: the generalised least squares fit. */
export interface Profile {
  readonly variances: Variances;
  readonly studies: readonly ReducedStudy[];
  /** Σ log|Vᵢ|. */
  readonly logDetV: number;
  /** log|X'V⁻¹X| over all coefficients. */
  readonly logDetM: number;
  /** (y − Xβ̂)'V⁻¹(y − Xβ̂). */
  readonly squares: number;
  /** β̂ − θ₀ of the common coefficients. */
  readonly beta: Float64Array;
  /** Their covariance matrix, c × c. */
  readonly covariance: Float64Array;
}

/** Throws `numerics/not-positive-definite` where coefficients are not identified. */
export function profileAt(sums: Sums, variances: Variances): Profile {
  const u = [...sums.common, sums.columns];
  const w = u.length;
  const total = new Float64Array(w * w);
  let logDetV = 0;
  let logDetM = 0;
  const studies = sums.studies.map((study, i) => {
    const variance = variances.residual[variances.residual.length === 1 ? 0 : i]!;
    const reduced = reduce(study, u, sums, variances.psi, variance);
    logDetV += study.n * Math.log(variance) + reduced.logDet;
    if (study.own.length > 0) logDetM += logDetFromCholesky(reduced.study.factor);
    for (let k = 0; k < total.length; k++) total[k]! += reduced.information[k]!;
    return reduced.study;
  });
  const c = w - 1;
  const information = pack(leading(total, c, c, w), c);
  const factor = cholesky(information);
  logDetM += logDetFromCholesky(factor);
  const covariance = unpack(inverseFromCholesky(factor), c);
  const right = Float64Array.from({ length: c }, (_, j) => total[c * w + j]!);
  const beta = multiply(covariance, right, c, c, 1);
  // One step of refinement, and the squares as a form in (−β̂, 1): rounding in β̂ then enters squared.
  const left = Float64Array.from({ length: c }, (_, i) => {
    let sum = right[i]!;
    for (let j = 0; j < c; j++) sum -= total[i * w + j]! * beta[j]!;
    return sum;
  });
  multiply(covariance, left, c, c, 1).forEach((step, j) => (beta[j]! += step));
  const v = contrast(beta);
  const squares = dot(v, multiply(total, v, w, w, 1));
  return { variances, studies, logDetV, logDetM, squares, beta, covariance };
}

/** (−β̂, 1): X⁺ times it is y − Xβ̂. */
export function contrast(beta: Float64Array): Float64Array {
  const v = new Float64Array(beta.length + 1);
  for (let j = 0; j < beta.length; j++) v[j] = -beta[j]!;
  v[beta.length] = 1;
  return v;
}

function reduce(
  study: StudySums,
  u: readonly number[],
  sums: Sums,
  psi: Float64Array,
  variance: number,
): { study: ReducedStudy; information: Float64Array; logDet: number } {
  const q = sums.effects;
  const m = sums.columns + 1;
  const w = u.length;
  const { own } = study;
  const s = own.length;
  const { inverse: j, determinant } = shrinkage(study.t, psi, variance, q);
  const n = multiply(j, study.b, q, q, m);
  const h = multiply(j, study.t, q, q, q);
  for (let k = 0; k < n.length; k++) n[k]! /= variance;
  for (let k = 0; k < h.length; k++) h[k]! /= variance;

  const nu = columnsOf(n, u, q, m);
  const gu = columnsOf(study.gamma, u, q, m);
  const rest = block(study.rest, u, u, m);
  let regression: Float64Array = new Float64Array(0);
  let factor: Float64Array = new Float64Array(0);
  if (s > 0) {
    const ns = columnsOf(n, own, q, m);
    const gs = columnsOf(study.gamma, own, q, m);
    const ess = block(study.rest, own, own, m);
    const esu = block(study.rest, own, u, m);
    const mss = plus(ess, 1 / variance, transposeMultiply(gs, ns, q, s, s));
    const msu = plus(esu, 1 / variance, transposeMultiply(gs, nu, q, s, w));
    factor = cholesky(pack(mss, s));
    regression = multiply(unpack(inverseFromCholesky(factor), s), msu, s, s, w);
    subtract(nu, multiply(ns, regression, q, s, w));
    subtract(gu, multiply(gs, regression, q, s, w));
    // R'ER = E_uu − E_us·A − A'(E_su − E_ss·A), A the regression.
    subtract(rest, transposeMultiply(esu, regression, s, w, w));
    const left = esu.slice();
    subtract(left, multiply(ess, regression, s, s, w));
    subtract(rest, transposeMultiply(regression, left, s, w, w));
  }
  return {
    study: { sums: study, variance, h, n, nu, rest, regression, factor },
    information: plus(rest, 1 / variance, transposeMultiply(gu, nu, q, w, w)),
    logDet: Math.log(determinant),
  };
}

/** (I + TΨ/σ²)⁻¹ and the determinant of I + TΨ/σ². */
function shrinkage(
  t: Float64Array,
  psi: Float64Array,
  variance: number,
  q: number,
): { inverse: Float64Array; determinant: number } {
  if (q === 0) return { inverse: new Float64Array(0), determinant: 1 };
  const a = multiply(t, psi, q, q, q);
  for (let k = 0; k < a.length; k++) a[k]! /= variance;
  if (q === 1) return { inverse: Float64Array.of(1 / (1 + a[0]!)), determinant: 1 + a[0]! };
  const determinantT = Math.max(0, t[0]! * t[3]! - t[1]! * t[2]!);
  const determinantPsi = Math.max(0, psi[0]! * psi[3]! - psi[1]! * psi[2]!);
  const determinant = 1 + a[0]! + a[3]! + (determinantT / variance) * (determinantPsi / variance);
  return {
    inverse: Float64Array.of(
      (1 + a[3]!) / determinant,
      -a[1]! / determinant,
      -a[2]! / determinant,
      (1 + a[0]!) / determinant,
    ),
    determinant,
  };
}

/**
 * Derivatives of the criterion's parts by γ: with G_c = ∂V/∂γ_c and P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹,
 * `trace` tr(AG_c), `quadratic` y'PG_cPy, `traces` tr(AG_cAG_d), `quadratics` y'PG_cPG_dPy (γ × γ), A = P for restricted
 * and V⁻¹ for maximum likelihood (Lindstrom & Bates, JASA 1988;83:1014). Order of γ: the entries of Ψ, then the residual
 * variances.
 */
export interface VarianceDerivatives {
  readonly size: number;
  readonly trace: Float64Array;
  readonly quadratic: Float64Array;
  readonly traces: Float64Array;
  readonly quadratics: Float64Array;
}

/** One parameter as one study sees it. */
export interface LocalComponent {
  readonly index: number;
  /** q × q: G = ZSZ', or, of the residual variance, T⁻. */
  readonly s: Float64Array;
  readonly residual: boolean;
}

/** The parameters that study i's V depends on. */
export function componentsOf(structure: Structure, study: StudySums, i: number, q: number): LocalComponent[] {
  const components = structure.entries.map(([a, b], index): LocalComponent => {
    const s = new Float64Array(q * q);
    s[a * q + b] = 1;
    s[b * q + a] = 1;
    return { index, s, residual: false };
  });
  const index = components.length + (structure.residual === 'common' ? 0 : i);
  return [...components, { index, s: study.tInverse, residual: true }];
}

export function varianceDerivatives(
  sums: Sums,
  structure: Structure,
  at: Profile,
  restricted: boolean,
): VarianceDerivatives {
  const q = sums.effects;
  const c = at.beta.length;
  const w = c + 1;
  const size = structure.entries.length + at.variances.residual.length;
  const out: VarianceDerivatives = {
    size,
    trace: new Float64Array(size),
    quadratic: new Float64Array(size),
    traces: new Float64Array(size * size),
    quadratics: new Float64Array(size * size),
  };
  const v = contrast(at.beta);
  // D = X'V⁻¹G_cV⁻¹X of each parameter after elimination, c × c, and D⁺v, its part over the common columns.
  const d = Array.from({ length: size }, () => new Float64Array(c * c));
  const dv = Array.from({ length: size }, () => new Float64Array(c));

  at.studies.forEach((study, i) => {
    const { sums: own, variance, h, nu, rest } = study;
    const s = own.own.length;
    const inverse = 1 / variance;
    const a = multiply(nu, v, q, w, 1);
    const restV = multiply(rest, v, w, w, 1);
    const squares = dot(v, restV);
    const free = own.n - own.rank;
    const common = leading(nu, q, c, w);
    const nc = multiply(common, at.covariance, q, c, c);
    const cross = multiplyTranspose(nc, common, q, c, q);
    let restTrace = 0;
    for (let x = 0; x < c; x++)
      for (let y = 0; y < c; y++) restTrace += at.covariance[x * c + y]! * rest[x * w + y]!;
    const eliminated = s === 0 ? null : elimination(study, sums, a, v, at.covariance, restricted);

    const components = componentsOf(structure, own, i, q).map((component) => {
      const { s: matrix, residual, index } = component;
      const sa = multiply(matrix, a, q, q, 1);
      const sh = multiply(matrix, h, q, q, q);
      out.quadratic[index]! += dot(a, sa) + (residual ? inverse ** 2 * squares : 0);
      out.trace[index]! += traceOf(sh, q) + (residual ? inverse * free : 0);
      const part = transposeMultiply(nu, sa, q, w, 1);
      for (let x = 0; x < c; x++) dv[index]![x]! += part[x]! + (residual ? inverse ** 2 * restV[x]! : 0);
      if (restricted) {
        const full = transposeMultiply(common, multiply(matrix, common, q, q, c), q, c, c);
        for (let x = 0; x < c; x++) {
          for (let y = 0; y < c; y++)
            d[index]![x * c + y]! += full[x * c + y]! + (residual ? inverse ** 2 * rest[x * w + y]! : 0);
        }
      }
      const lost = eliminated?.of(matrix, residual) ?? null;
      if (restricted && lost !== null) out.trace[index]! -= traceOf(lost.own, s);
      return { ...component, sa, sh, lost };
    });

    for (const one of components) {
      for (const two of components) {
        if (two.index < one.index) continue;
        const both = one.residual && two.residual;
        // S_c H S_d
        const product = multiply(one.sh, two.s, q, q, q);
        let quadratic = dot(one.sa, multiply(h, two.sa, q, q, 1)) + (both ? inverse ** 3 * squares : 0);
        let trace = traceOf(multiply(one.sh, two.sh, q, q, q), q) + (both ? inverse ** 2 * free : 0);
        if (restricted)
          trace -= 2 * (traceProduct(product, cross, q) + (both ? inverse ** 3 * restTrace : 0));
        if (one.lost !== null && two.lost !== null && eliminated !== null) {
          quadratic -= dot(one.lost.v, two.lost.v);
          if (restricted) {
            trace += 2 * dot(one.lost.common, two.lost.commonCovariance) + dot(one.lost.own, two.lost.own);
            trace -=
              2 *
              (traceProduct(product, eliminated.cross, q) + (both ? inverse ** 3 * eliminated.restTrace : 0));
          }
        }
        add(out.quadratics, size, one.index, two.index, quadratic);
        add(out.traces, size, one.index, two.index, trace);
      }
    }
  });

  const cdv = dv.map((vector) => multiply(at.covariance, vector, c, c, 1));
  const cd = restricted ? d.map((matrix) => multiply(at.covariance, matrix, c, c, c)) : [];
  for (let x = 0; x < size; x++) {
    if (restricted) out.trace[x]! -= traceOf(cd[x]!, c);
    for (let y = x; y < size; y++) {
      add(out.quadratics, size, x, y, -dot(dv[x]!, cdv[y]!));
      if (restricted) add(out.traces, size, x, y, traceProduct(cd[x]!, cd[y]!, c));
    }
  }
  return out;
}

/** What the elimination of a study's own coefficients takes from the forms above, in units of L⁻¹. */
function elimination(
  { sums: study, variance, n, nu, regression, factor }: ReducedStudy,
  sums: Sums,
  a: Float64Array,
  v: Float64Array,
  covariance: Float64Array,
  restricted: boolean,
): {
  of(
    matrix: Float64Array,
    residual: boolean,
  ): {
    own: Float64Array;
    v: Float64Array;
    common: Float64Array;
    commonCovariance: Float64Array;
  };
  cross: Float64Array;
  restTrace: number;
} {
  const q = sums.effects;
  const m = sums.columns + 1;
  const { own } = study;
  const s = own.length;
  const w = v.length;
  const c = w - 1;
  const u = [...sums.common, sums.columns];
  const y = forward(factor, transposeOf(columnsOf(n, own, q, m), q, s), s, q);
  const ess = block(study.rest, own, own, m);
  const er = block(study.rest, own, u, m);
  subtract(er, multiply(ess, regression, s, s, w));
  const x = forward(factor, er, s, w);
  const inner = restricted ? forward(factor, transposeOf(forward(factor, ess, s, s), s, s), s, s) : ess;
  const xv = multiply(x, v, s, w, 1);
  const none = new Float64Array(0);
  return {
    of(matrix, residual) {
      const ys = multiply(y, matrix, s, q, q);
      const ov = multiply(ys, a, s, q, 1);
      const scale = 1 / variance ** 2;
      if (residual) for (let k = 0; k < s; k++) ov[k]! += scale * xv[k]!;
      if (!restricted) return { own: none, v: ov, common: none, commonCovariance: none };
      const all = multiply(ys, nu, s, q, w);
      const inOwn = multiplyTranspose(ys, y, s, q, s);
      if (residual) {
        for (let k = 0; k < all.length; k++) all[k]! += scale * x[k]!;
        for (let k = 0; k < inOwn.length; k++) inOwn[k]! += scale * inner[k]!;
      }
      const common = leading(all, s, c, w);
      return { own: inOwn, v: ov, common, commonCovariance: multiply(common, covariance, s, c, c) };
    },
    cross: transposeMultiply(y, y, s, q, q),
    restTrace: restricted ? traceOf(inner, s) : 0,
  };
}
