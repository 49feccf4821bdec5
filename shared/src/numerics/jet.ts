import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import type { Evaluation } from '../models/types.ts';

/**
 * Taylor arithmetic to second order in m variables: a quantity with its gradient and packed Hessian, so that what is
 * computed from such quantities has exact derivatives (Griewank & Walther 2008, ch. 13). A quantity of first order has an
 * empty Hessian, one of order zero an empty gradient too; what is combined must agree in that.
 */
export type Jet = Readonly<Evaluation>;

/** A quantity that does not depend on the variables. */
export function constantJet(value: number, m: number, order: 0 | 1 | 2): Jet {
  return {
    value,
    gradient: new Float64Array(order > 0 ? m : 0),
    hessian: new Float64Array(order > 1 ? packedLength(m) : 0),
  };
}

/** Variable i itself. */
export function variableJet(value: number, i: number, m: number, order: 0 | 1 | 2): Jet {
  const jet = constantJet(value, m, order);
  if (order > 0) jet.gradient[i] = 1;
  return jet;
}

/** Σ factorₖ·jetₖ; at least one. */
export function combination(terms: readonly (readonly [number, Jet])[]): Jet {
  const [, first] = terms[0]!;
  const out = {
    value: 0,
    gradient: new Float64Array(first.gradient.length),
    hessian: new Float64Array(first.hessian.length),
  };
  for (const [factor, jet] of terms) {
    out.value += factor * jet.value;
    for (let i = 0; i < out.gradient.length; i++) out.gradient[i]! += factor * jet.gradient[i]!;
    for (let i = 0; i < out.hessian.length; i++) out.hessian[i]! += factor * jet.hessian[i]!;
  }
  return out;
}

export function product(a: Jet, b: Jet): Jet {
  const out = combination([
    [b.value, a],
    [a.value, b],
  ]);
  const hessian = out.hessian;
  for (let i = 0, at = 0; at < hessian.length; i++)
    for (let j = 0; j <= i; j++, at++)
      hessian[at]! += a.gradient[i]! * b.gradient[j]! + a.gradient[j]! * b.gradient[i]!;
  return { ...out, value: a.value * b.value };
}

/** f(a), from f, f′ and f″ at a's value. */
function mapped(a: Jet, value: number, slope: number, curvature: number): Jet {
  const out = combination([[slope, a]]);
  const hessian = out.hessian;
  for (let i = 0, at = 0; at < hessian.length; i++)
    for (let j = 0; j <= i; j++, at++) hessian[at]! += curvature * a.gradient[i]! * a.gradient[j]!;
  return { ...out, value };
}

/** a^exponent, a > 0. */
export function power(a: Jet, exponent: number): Jet {
  const value = a.value ** exponent;
  const slope = (exponent * value) / a.value;
  return mapped(a, value, slope, ((exponent - 1) * slope) / a.value);
}

/** log a, a > 0. */
export function logarithm(a: Jet): Jet {
  return mapped(a, Math.log(a.value), 1 / a.value, -1 / (a.value * a.value));
}

/** log Σ exp(termₖ): derivatives are means and covariances over k with weights exp(termₖ)/Σ. At least one term. */
export function logSumExp(terms: readonly Jet[]): Jet {
  const most = terms.reduce((largest, { value }) => Math.max(largest, value), -Infinity);
  const shares = terms.map(({ value }) => Math.exp(value - most));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const mean = combination(terms.map((term, k) => [shares[k]! / total, term] as const));
  const { gradient, hessian } = mean;
  const centred = new Float64Array(gradient.length);
  terms.forEach((term, k) => {
    const share = shares[k]! / total;
    for (let i = 0; i < centred.length; i++) centred[i] = term.gradient[i]! - gradient[i]!;
    for (let i = 0, at = 0; at < hessian.length; i++)
      for (let j = 0; j <= i; j++, at++) hessian[at]! += share * centred[i]! * centred[j]!;
  });
  return { ...mean, value: most + Math.log(total) };
}

/**
 * A function f of x = (the first p variables) + Σ cₐdₐ, from f's value, gradient and packed Hessian in x (length p each
 * way) at the point: with g = (f′, 0), H likewise and gₐ = dₐ'f′, ∇ = g + Σ gₐ∇cₐ, ∇² = H + Σ (Hdₐ∇cₐ' + ∇cₐ(Hdₐ)') +
 * Σ dₐ'Hd_b ∇cₐ∇c_b' + Σ gₐ∇²cₐ.
 */
export function displaced(f: Jet, directions: readonly Float64Array[], c: readonly Jet[]): Jet {
  const p = f.gradient.length;
  const slopes = directions.map((direction) => inner(direction, f.gradient));
  const out = combination(c.map((jet, a) => [slopes[a]!, jet] as const));
  for (let i = 0; i < p && i < out.gradient.length; i++) out.gradient[i]! += f.gradient[i]!;
  const hessian = out.hessian;
  if (hessian.length > 0) {
    hessian.subarray(0, f.hessian.length).forEach((_, at) => (hessian[at]! += f.hessian[at]!));
    directions.forEach((direction, a) => {
      const { gradient } = c[a]!;
      // Hdₐ, and half of what the pairs (a, b) and (b, a) add: rows of ∇² take ∇cₐ times this, both ways.
      const across = new Float64Array(gradient.length);
      multiplyInto(f.hessian, direction, across);
      const own = directions.map((other) => inner(other, across));
      c.forEach((other, b) => {
        for (let i = 0; i < across.length; i++) across[i]! += (own[b]! / 2) * other.gradient[i]!;
      });
      for (let i = 0, at = 0; at < hessian.length; i++)
        for (let j = 0; j <= i; j++, at++)
          hessian[at]! += across[i]! * gradient[j]! + gradient[i]! * across[j]!;
    });
  }
  return { ...out, value: f.value };
}

/** a'b over the length of a. */
export function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** The first elements of `out` ← Mx for a packed symmetric M. */
function multiplyInto(packed: Float64Array, x: Float64Array, out: Float64Array): void {
  for (let i = 0; i < x.length; i++) {
    let sum = 0;
    for (let j = 0; j < x.length; j++) sum += packed[packedIndex(i, j)]! * x[j]!;
    out[i] = sum;
  }
}
