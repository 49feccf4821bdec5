import {
  cholesky,
  inverseFromCholesky,
  logDetFromCholesky,
  multiplyPacked,
  packedIndex,
  packedLength,
  packedOrder,
} from '../linalg/symmetric.ts';

/**
 * Multivariate random-effects model with unstructured between-study covariance (van Houwelingen, Arends &
 * Stijnen 2002, Stat Med 21:589): study i estimates the terms Zᵢ (rows of the p × p identity) of β + uᵢ, yᵢ
 * = Zᵢ(β + uᵢ) + eᵢ, uᵢ ~ N(0, Σ), eᵢ ~ N(0, Sᵢ), Sᵢ known; Vᵢ = ZᵢΣZᵢ' + Sᵢ, Σ = LL'.
 *
 * Everything is written in p × p matrices Wᵢ = Zᵢ'Vᵢ⁻¹Zᵢ, zero in the rows that study i lacks: M = ΣWᵢ, A =
 * M⁻¹, β = AΣWᵢyᵢ, qᵢ = Wᵢ(yᵢ − β).
 */

/** One study's estimates of the terms with these ascending indices, and their packed covariance. */
export interface StudyVector {
  readonly terms: readonly number[];
  readonly y: Float64Array;
  readonly vcov: Float64Array;
}

export interface MultivariateFit {
  /** Log-likelihood, β profiled out; constants as metafor::rma.mv (REML with ½ log det(X'X)). */
  readonly value: number;
  readonly beta: Float64Array;
  /** A = (ΣWᵢ)⁻¹, packed. */
  readonly vcov: Float64Array;
  /** Σᵢ (yᵢ − β)'Wᵢ(yᵢ − β). */
  readonly q: number;
  /** Per study: Wᵢ (p × p, row-major) and qᵢ. */
  readonly studies: readonly { readonly w: Float64Array; readonly q: Float64Array }[];
}

/** Product of two row-major p × p matrices. */
function product(a: Float64Array, b: Float64Array, p: number): Float64Array {
  const c = new Float64Array(p * p);
  for (let i = 0; i < p; i++) {
    for (let k = 0; k < p; k++) {
      const value = a[i * p + k]!;
      if (value !== 0) for (let j = 0; j < p; j++) c[i * p + j]! += value * b[k * p + j]!;
    }
  }
  return c;
}

function transpose(a: Float64Array, p: number): Float64Array {
  return a.map((_, at) => a[(at % p) * p + Math.floor(at / p)]!);
}

/**
 * Row-major p × p matrix of a packed triangle; the upper triangle mirrored or, of a Cholesky factor, zero.
 */
function unpack(packed: Float64Array, symmetric: boolean): Float64Array {
  const p = packedOrder(packed);
  const full = new Float64Array(p * p);
  for (let i = 0; i < p; i++) {
    for (let j = 0; j < p; j++) if (symmetric || j <= i) full[i * p + j] = packed[packedIndex(i, j)]!;
  }
  return full;
}

/** Σ = LL' of a packed L, packed. */
export function sigmaOf(l: Float64Array): Float64Array {
  const p = packedOrder(l);
  const sigma = new Float64Array(l.length);
  for (let i = 0; i < p; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let c = 0; c <= j; c++) sum += l[packedIndex(i, c)]! * l[packedIndex(j, c)]!;
      sigma[packedIndex(i, j)] = sum;
    }
  }
  return sigma;
}

/** Log-likelihood and generalised least squares at Σ (packed, order p). Every term must be in some study. */
export function fitAt(
  data: readonly StudyVector[],
  sigma: Float64Array,
  restricted: boolean,
): MultivariateFit {
  const p = packedOrder(sigma);
  const m = new Float64Array(packedLength(p));
  const counts = new Float64Array(p);
  let logDets = 0;
  let observations = 0;
  const weights = data.map(({ terms, vcov }) => {
    const n = terms.length;
    const variance = Float64Array.from(vcov);
    for (let a = 0; a < n; a++) {
      for (let b = 0; b <= a; b++) variance[packedIndex(a, b)]! += sigma[packedIndex(terms[a]!, terms[b]!)]!;
      counts[terms[a]!]! += 1;
    }
    const factor = cholesky(variance);
    const inverse = inverseFromCholesky(factor);
    logDets += logDetFromCholesky(factor);
    observations += n;
    const w = new Float64Array(p * p);
    for (let a = 0; a < n; a++) {
      for (let b = 0; b < n; b++) {
        w[terms[a]! * p + terms[b]!] = inverse[packedIndex(a, b)]!;
        if (b <= a) m[packedIndex(terms[a]!, terms[b]!)]! += inverse[packedIndex(a, b)]!;
      }
    }
    return w;
  });
  const factor = cholesky(m);
  const vcov = inverseFromCholesky(factor);

  const residuals = data.map(({ terms, y }) => {
    const padded = new Float64Array(p);
    terms.forEach((term, a) => (padded[term] = y[a]!));
    return padded;
  });
  const beta = new Float64Array(p);
  // The second pass refines β on the first's residuals, as in weighted-fit.ts.
  for (let pass = 0; pass < 2; pass++) {
    const score = new Float64Array(p);
    weights.forEach((w, i) => {
      for (let r = 0; r < p; r++) for (let c = 0; c < p; c++) score[r]! += w[r * p + c]! * residuals[i]![c]!;
    });
    const change = multiplyPacked(vcov, score);
    for (let r = 0; r < p; r++) beta[r]! += change[r]!;
    data.forEach(({ terms }, i) => {
      for (const term of terms) residuals[i]![term]! -= change[term]!;
    });
  }
  let form = 0;
  const studies = weights.map((w, i) => {
    const q = new Float64Array(p);
    for (let r = 0; r < p; r++) {
      for (let c = 0; c < p; c++) q[r]! += w[r * p + c]! * residuals[i]![c]!;
      form += q[r]! * residuals[i]![r]!;
    }
    return { w, q };
  });
  let value = -0.5 * (observations * Math.log(2 * Math.PI) + logDets + form);
  if (restricted) {
    value += 0.5 * (p * Math.log(2 * Math.PI) - logDetFromCholesky(factor));
    for (const count of counts) value += 0.5 * Math.log(count);
  }
  return { value, beta, vcov, q: form, studies };
}

/**
 * Exact gradient and Hessian of the log-likelihood in the elements of L (packed, in order), at the fit for
 * Σ = LL'.
 *
 * dℓ = tr(G dΣ) with G = ½Σᵢ(qᵢqᵢ' − Wᵢ), REML adding ½ΣᵢWᵢAWᵢ. Along symmetric E and F, d²ℓ[E, F] = Σᵢ
 * tr((½Wᵢ − Cᵢ)EWᵢF) − Σᵢ(Eqᵢ)'WᵢFqᵢ + t_E'At_F + ½tr(AN_EAN_F), with t_E = ΣWᵢEqᵢ and, for REML only (else
 * zero), Cᵢ = WᵢAWᵢ and N_E = ΣWᵢEWᵢ. For element (r, c) of L, E = e_r l_c' + l_c e_r', l_c column c; Σ is
 * quadratic in L, which adds 2G_rs for two elements (r, c), (s, c) of one column.
 */
export function derivatives(
  fit: MultivariateFit,
  l: Float64Array,
  restricted: boolean,
): { readonly gradient: Float64Array; readonly hessian: Float64Array } {
  const p = packedOrder(l);
  const size = l.length;
  const columns = unpack(l, false);
  const rows = transpose(columns, p);
  const a = unpack(fit.vcov, true);
  const index = Array.from({ length: size }, (_, at) => {
    let r = 0;
    while (packedLength(r + 1) <= at) r++;
    return { r, c: at - packedLength(r) };
  });
  const g = new Float64Array(p * p);
  const hessian = new Float64Array(packedLength(size));
  const t = index.map(() => new Float64Array(p));
  const n = index.map(() => new Float64Array(restricted ? p * p : 0));
  for (const { w, q } of fit.studies) {
    const projection = restricted ? product(product(w, a, p), w, p) : new Float64Array(p * p);
    const kernel = w.map((value, at) => value / 2 - projection[at]!);
    for (let i = 0; i < p; i++) {
      for (let j = 0; j < p; j++) {
        g[i * p + j]! += 0.5 * (q[i]! * q[j]! - w[i * p + j]! + projection[i * p + j]!);
      }
    }
    const wl = product(w, columns, p);
    const kl = product(kernel, columns, p);
    const lwl = product(rows, wl, p);
    const lkl = product(rows, kl, p);
    const lq = new Float64Array(p);
    for (let c = 0; c < p; c++) for (let i = 0; i < p; i++) lq[c]! += columns[i * p + c]! * q[i]!;
    let at = 0;
    for (let first = 0; first < size; first++) {
      const { r, c } = index[first]!;
      for (let i = 0; i < p; i++) {
        t[first]![i]! += w[i * p + r]! * lq[c]! + wl[i * p + c]! * q[r]!;
        if (!restricted) continue;
        for (let j = 0; j < p; j++) {
          n[first]![i * p + j]! += w[i * p + r]! * wl[j * p + c]! + wl[i * p + c]! * w[j * p + r]!;
        }
      }
      for (let second = 0; second <= first; second++, at++) {
        const { r: s, c: d } = index[second]!;
        const wrs = w[r * p + s]!;
        const lwlcd = lwl[c * p + d]!;
        const wlrd = wl[r * p + d]!;
        const wlsc = wl[s * p + c]!;
        hessian[at]! +=
          kl[r * p + d]! * wlsc +
          kernel[r * p + s]! * lwlcd +
          lkl[c * p + d]! * wrs +
          kl[s * p + c]! * wlrd -
          (lq[c]! * lq[d]! * wrs + lq[c]! * q[s]! * wlrd + q[r]! * lq[d]! * wlsc + q[r]! * q[s]! * lwlcd);
      }
    }
  }
  const an = n.map((matrix) => (restricted ? product(a, matrix, p) : matrix));
  let at = 0;
  for (let first = 0; first < size; first++) {
    const { r, c } = index[first]!;
    const projected = multiplyPacked(fit.vcov, t[first]!);
    for (let second = 0; second <= first; second++, at++) {
      const { r: s, c: d } = index[second]!;
      let sum = c === d ? 2 * g[r * p + s]! : 0;
      for (let i = 0; i < p; i++) {
        sum += projected[i]! * t[second]![i]!;
        if (!restricted) continue;
        for (let j = 0; j < p; j++) sum += 0.5 * an[first]![i * p + j]! * an[second]![j * p + i]!;
      }
      hessian[at]! += sum;
    }
  }
  const gl = product(g, columns, p);
  return { gradient: Float64Array.from(index, ({ r, c }) => 2 * gl[r * p + c]!), hessian };
}
