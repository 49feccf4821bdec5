import { multiplyPacked, packedIndex } from '../linalg/symmetric.ts';
import { combination, constantJet, displaced, inner, product, type Jet } from '../numerics/jet.ts';
import type { Expansion } from './conditional.ts';
import type { Evaluation, Objective } from './types.ts';

/**
 * The mode û of a study's random effects as a function of ψ, and the matrices about it, as quantities with their
 * derivatives. Notation as in `marginal`: b = Λu, J = −D'HD, B = I + Λ'JΛ; matrices are packed, 1 × 1 or 2 × 2.
 */

/** h(u) = ℓ(φ + DΛu) − ½u'u, from ℓ on the plane. */
export function standardised(plane: Objective, factor: Float64Array, at: Evaluation): Objective {
  const q = plane.parameters;
  return {
    parameters: q,
    evaluate(u, order, out) {
      plane.evaluate(effects(factor, u), order, at);
      out.value = at.value - inner(u, u) / 2;
      if (order === 0) return;
      for (let a = 0; a < q; a++) {
        out.gradient[a] = -u[a]!;
        for (let i = a; i < q; i++) out.gradient[a]! += factor[packedIndex(i, a)]! * at.gradient[i]!;
      }
      if (order === 1) return;
      for (let a = 0; a < q; a++) {
        const column = Float64Array.from({ length: q }, (_, i) => (i < a ? 0 : factor[packedIndex(i, a)]!));
        const curved = multiplyPacked(at.hessian, column);
        for (let b = 0; b <= a; b++) {
          let sum = a === b ? -1 : 0;
          for (let i = b; i < q; i++) sum += factor[packedIndex(i, b)]! * curved[i]!;
          out.hessian[packedIndex(a, b)] = sum;
        }
      }
    },
  };
}

/** Λu. */
export function effects(factor: Float64Array, u: Float64Array): Float64Array {
  return u.map((_, a) => {
    let sum = 0;
    for (let b = 0; b <= a; b++) sum += factor[packedIndex(a, b)]! * u[b]!;
    return sum;
  });
}

/** φ + Σ cₐdₐ. */
export function displace(
  phi: Float64Array,
  directions: readonly Float64Array[],
  c: Float64Array,
): Float64Array {
  return phi.map((value, j) => directions.reduce((sum, direction, a) => sum + c[a]! * direction[j]!, value));
}

/** Λu of quantities. */
export function multiply(factor: readonly Jet[], u: readonly Jet[]): Jet[] {
  return u.map((_, a) => {
    let sum = product(factor[packedIndex(a, 0)]!, u[0]!);
    for (let b = 1; b <= a; b++)
      sum = combination([
        [1, sum],
        [1, product(factor[packedIndex(a, b)]!, u[b]!)],
      ]);
    return sum;
  });
}

/** D'U as functions of x: their values, gradients Hd and Hessians. */
function scores(expansion: Expansion, directions: readonly Float64Array[]): Jet[] {
  return directions.map((direction, a) => ({
    value: inner(direction, expansion.gradient),
    gradient: multiplyPacked(expansion.hessian, direction),
    hessian: expansion.third[a]!,
  }));
}

/** J = −D'HD, packed, as functions of x. */
export function curvature(expansion: Expansion, directions: readonly Float64Array[]): Jet[] {
  const minus = (values: Float64Array) => values.map((value) => -value);
  return directions.flatMap((direction, a) =>
    directions.slice(0, a + 1).map((other, b) => ({
      value: -inner(other, multiplyPacked(expansion.hessian, direction)),
      gradient: minus(multiplyPacked(expansion.third[a]!, other)),
      hessian: minus(expansion.fourth[packedIndex(a, b)]!),
    })),
  );
}

/** û as a function of ψ, from its value. */
export function modeSeries(
  factor: readonly Jet[],
  mode: readonly Jet[],
  expansion: Expansion,
  directions: readonly Float64Array[],
  order: number,
): readonly Jet[] {
  const q = directions.length;
  const score = scores(expansion, directions);
  const m = mode[0]!.gradient.length;
  const b = precision(
    factor.map(({ value }) => constantJet(value, m, 0)),
    curvature(expansion, directions).map(({ value }) => constantJet(value, m, 0)),
  );
  const inverse = inverseOf(
    b.map(({ value }) => value),
    determinantOf(b).value,
  );
  let u = mode;
  for (let pass = 0; pass < order; pass++) {
    const c = multiply(factor, u);
    const moved = score.map((jet) => displaced(jet, directions, c));
    const residual = u.map((jet, a) =>
      combination([
        [-1, jet],
        ...moved.slice(a).map((s, k) => [1, product(factor[packedIndex(a + k, a)]!, s)] as const),
      ]),
    );
    u = u.map((jet, a) => ({
      ...combination([
        [1, jet],
        ...Array.from({ length: q }, (_, k) => [inverse[packedIndex(a, k)]!, residual[k]!] as const),
      ]),
      value: jet.value,
    }));
  }
  return u;
}

/** B = I + Λ'JΛ, packed. */
export function precision(factor: readonly Jet[], information: readonly Jet[]): Jet[] {
  const q = factor.length === 1 ? 1 : 2;
  const out: Jet[] = [];
  for (let a = 0; a < q; a++) {
    for (let b = 0; b <= a; b++) {
      const terms: (readonly [number, Jet])[] = [];
      for (let i = a; i < q; i++)
        for (let j = b; j < q; j++)
          terms.push([
            1,
            product(
              product(factor[packedIndex(i, a)]!, factor[packedIndex(j, b)]!),
              information[packedIndex(i, j)]!,
            ),
          ]);
      const sum = combination(terms);
      out.push(a === b ? { ...sum, value: 1 + sum.value } : sum);
    }
  }
  return out;
}

export function determinantOf(b: readonly Jet[]): Jet {
  const [b11, b21, b22] = b;
  return b22 === undefined
    ? b11!
    : combination([
        [1, product(b11!, b22)],
        [-1, product(b21!, b21!)],
      ]);
}

/** Packed inverse of a packed 1 × 1 or 2 × 2 matrix. */
export function inverseOf(b: readonly number[], determinant: number): Float64Array {
  return b.length === 1
    ? Float64Array.of(1 / b[0]!)
    : Float64Array.of(b[2]! / determinant, -b[1]! / determinant, b[0]! / determinant);
}

/** ΛVΛ', packed. */
export function sandwich(factor: Float64Array, v: Float64Array): Float64Array {
  const [l11, l21 = 0, l22 = 0] = factor;
  const [v11, v21 = 0, v22 = 0] = v;
  const first = l11! * l11! * v11!;
  if (factor.length === 1) return Float64Array.of(first);
  return Float64Array.of(
    first,
    l11! * (l21 * v11! + l22 * v21),
    l21 * l21 * v11! + 2 * l21 * l22 * v21 + l22 * l22 * v22,
  );
}
