import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { gaussHermite } from '../numerics/gauss-hermite.ts';
import {
  combination,
  constantJet,
  displaced,
  logarithm,
  logSumExp,
  power,
  product,
  variableJet,
  type Jet,
} from '../numerics/jet.ts';
import { drive, emptyEvaluation } from '../numerics/newton.ts';
import { trustRegion, type TrustRegionOptions } from '../numerics/trust-region.ts';
import type { ConditionalObjective } from './conditional.ts';
import { alongGenerically, emptyExpansion } from './expansion.ts';
import {
  curvature,
  determinantOf,
  displace,
  effects,
  inverseOf,
  modeSeries,
  multiply,
  precision,
  sandwich,
  standardised,
} from './mode.ts';
import type { Evaluation, Objective } from './types.ts';

/**
 * Marginal log-likelihood of one study with q ≤ 2 random effects b = Λu, u ~ N(0, I), where its log-likelihood given b is
 * ℓ(φ + Σ bₐdₐ). Parameters ψ = (φ, λ): λ are the entries of the lower triangular Λ (q = 1: λ₁₁; independent: λ₁₁, λ₂₂;
 * correlated: λ₁₁, λ₂₁, λ₂₂), of either sign: the value is even in every column of Λ and smooth through zero, so that a
 * variance of zero is an ordinary stationary point.
 *
 * With h(u) = ℓ(φ + DΛu) − ½u'u, its mode û, J = −D'HD at the mode and B = I + Λ'JΛ:
 *
 *   points = 1:  L = h(û) − ½ log|B|                            (Laplace; as lme4 with nAGQ = 1 and glmmTMB define it)
 *   points = n:  L = log|R| − (q/2) log π + log Σₖ exp(log wₖ + zₖ'zₖ + h(û + √2 R zₖ)),   RR' = B⁻¹
 *                                         (adaptive Gauss–Hermite; Liu & Pierce 1994, Biometrika 81:624)
 *
 * over the product rule's nodes zₖ and weights wₖ; for q = 1 it is lme4's nAGQ = n. For q = 2, R is lower triangular
 * with positive diagonal: the first random effect depends on the first coordinate of z alone.
 *
 * Derivatives are those of L itself: û, B and the nodes move with ψ. Newton's step on the equation of the mode, Λ'D'U − u = 0,
 * gains an order of its Taylor series in ψ each time; B needs the third and fourth derivatives of ℓ along D.
 *
 * Where no mode is found, or B is not positive definite there, the value is −Infinity, derivatives are zero.
 */
export interface RandomEffects {
  /** dₐ, each of φ's length. */
  readonly directions: readonly Float64Array[];
  readonly correlated: boolean;
  /** 1: Laplace. */
  readonly points: number;
}

/** Random effects of a study given its data and ψ: the empirical Bayes prediction, as lme4's ranef with condVar. */
export interface Mode {
  /** Λû, length q. */
  readonly b: Float64Array;
  /** ΛB⁻¹Λ', packed: (J + (ΛΛ')⁻¹)⁻¹. */
  readonly variance: Float64Array;
}

export interface MarginalObjective extends Objective {
  /** L on the plane ψ + Σ cₖ·axisₖ, as an objective in c. Valid until the next call. */
  along(psi: Float64Array, axes: readonly Float64Array[]): Objective;
  /** Null where there is no mode. */
  modeOf(psi: Float64Array): Mode | null;
}

/** Positions of λ in Λ, packed. */
function factorPattern(q: number, correlated: boolean): readonly (readonly [number, number])[] {
  if (q === 1) return [[0, 0]];
  const diagonal = [
    [0, 0],
    [1, 1],
  ] as const;
  return correlated ? [diagonal[0], [1, 0], diagonal[1]] : diagonal;
}

/** How many λ there are. */
export function factorEntries(q: number, correlated: boolean): number {
  return factorPattern(q, correlated).length;
}

/**
 * ψ moved by a step where its last three entries are a correlated Λ = (λ₁₁, λ₂₁, λ₂₂): the `move` of a trust region. L depends
 * on ΛΛ' alone, so that for small λ₁₁ it hardly changes when (λ₂₁, λ₂₂) turns. What of the step is such a turn, dΛ = Z + ΛΩ
 * with a skew Ω and the shortest Z, is no movement; the result is the lower triangular factor of Λ + Z, a free matrix.
 * (The horizontal lift of the quotient by rotations: Absil, Mahony & Sepulchre 2008, §3.6.)
 */
export function moveCorrelated(psi: Float64Array, step: Float64Array): Float64Array {
  const moved = psi.map((value, j) => value + step[j]!);
  const at = psi.length - 3;
  const [l11, l21, l22] = [psi[at]!, psi[at + 1]!, psi[at + 2]!];
  const [d11, d21, d22] = [step[at]!, step[at + 1]!, step[at + 2]!];
  const size = l11 * l11 + l21 * l21 + l22 * l22;
  // ΛΩ = ω·(0, λ₁₁; −λ₂₂, λ₂₁).
  const turn = size === 0 ? 0 : (l21 * d22 - l22 * d21) / size;
  const [a, b, c, d] = [l11 + d11, -turn * l11, l21 + d21 + turn * l22, l22 + d22 - turn * l21];
  const first = Math.hypot(a, b) * (a < 0 ? -1 : 1);
  // With λ₁₁ = 0 any turn will do.
  moved[at] = first;
  moved[at + 1] = first === 0 ? c : (c * a + d * b) / first;
  moved[at + 2] = first === 0 ? d : (d * a - c * b) / first;
  return moved;
}

/** The mode is exact to 1e-8 standard deviations before the last step of Newton's method. */
const MODE_TOLERANCE = 1e-16;
const MODE_ROUNDS = 200;
/** In standard deviations of the random effects. */
const LONGEST_STEP = 5;

interface Located {
  readonly u: Float64Array;
  /** −D'HD, packed, and the log-likelihood, at the mode. */
  readonly information: Float64Array;
  readonly value: number;
}

/** Throws `numerics/invalid-input` unless there are one or two random effects. */
export function marginal(
  conditional: ConditionalObjective,
  { directions, correlated, points }: RandomEffects,
): MarginalObjective {
  const p = conditional.parameters;
  const q = directions.length;
  if (q < 1 || q > 2)
    throw new ConcordatError('numerics/invalid-input', `a study has one or two random effects, not ${q}`);
  const pattern = factorPattern(q, correlated);
  const m = p + pattern.length;
  const grid = points === 1 ? null : productGrid(points, q);
  const search: TrustRegionOptions = {
    tolerance: MODE_TOLERANCE,
    maxRounds: MODE_ROUNDS,
    longest: new Float64Array(q).fill(LONGEST_STEP),
  };
  const expansion = emptyExpansion(p, q);
  const atNode = emptyEvaluation(p);
  const atEffects = emptyEvaluation(q);

  /** Λ's packed entries, from variables in ψ. */
  const factorOf = (psi: Float64Array, order: 0 | 1 | 2): Jet[] => {
    const factor = Array.from({ length: packedLength(q) }, () => constantJet(0, m, order));
    pattern.forEach(([i, j], k) => {
      factor[packedIndex(i, j)] = variableJet(psi[p + k]!, p + k, m, order);
    });
    return factor;
  };

  const locate = (plane: Objective, factor: Float64Array): Located | null => {
    const fit = drive(trustRegion(new Float64Array(q), search), standardised(plane, factor, atEffects));
    if (fit.status !== 'converged') return null;
    plane.evaluate(effects(factor, fit.theta), 2, atEffects);
    if (!Number.isFinite(atEffects.value)) return null;
    return {
      u: fit.theta,
      information: atEffects.hessian.map((value) => -value),
      value: atEffects.value,
    };
  };

  /** The log-likelihood at a node, as a quantity in ψ through φ and the random effects c. */
  const atEffectsOf = (phi: Float64Array, plane: Objective, c: readonly Jet[], order: 0 | 1 | 2): Jet => {
    const values = Float64Array.from(c, ({ value }) => value);
    if (order === 0) {
      plane.evaluate(values, 0, atEffects);
      return constantJet(atEffects.value, m, 0);
    }
    conditional.evaluate(displace(phi, directions, values), order, atNode);
    return displaced(atNode, directions, c);
  };

  const objective: MarginalObjective = {
    parameters: m,

    along(psi, axes) {
      const phi = axes.map((axis) => axis.slice(0, p));
      const plane = conditional.along(psi.slice(0, p), [...phi, ...directions]);
      const fixed = axes.every((axis) => axis.subarray(p).every((value) => value === 0));
      if (!fixed || !('expand' in plane)) return alongGenerically(objective, psi, axes);
      const own = axes.length;
      const unit = (k: number) => Float64Array.from({ length: own + q }, (_, j) => (j === k ? 1 : 0));
      const inner = marginal(plane as ConditionalObjective, {
        directions: directions.map((_, a) => unit(own + a)),
        correlated,
        points,
      });
      const at = emptyEvaluation(inner.parameters);
      const point = Float64Array.of(...new Float64Array(own + q), ...psi.subarray(p));
      return {
        parameters: own,
        evaluate(c, order, out) {
          point.set(c);
          inner.evaluate(point, order, at);
          out.value = at.value;
          out.gradient.set(at.gradient.subarray(0, own));
          out.hessian.set(at.hessian.subarray(0, packedLength(own)));
        },
      };
    },

    evaluate(psi, order, out) {
      const phi = psi.subarray(0, p);
      const plane = conditional.along(phi, directions);
      const factor = factorOf(psi, order);
      const lambda = Float64Array.from(factor, ({ value }) => value);
      const located = locate(plane, lambda);
      if (located === null) return outside(out);
      let u: readonly Jet[] = Array.from(located.u, (value) => constantJet(value, m, order));
      let information: readonly Jet[] = Array.from(located.information, (value) => constantJet(value, m, 0));
      let likelihood = constantJet(located.value, m, 0);
      if (order > 0) {
        conditional.expand(
          displace(phi, directions, effects(lambda, located.u)),
          directions,
          order as 1 | 2,
          expansion,
        );
        u = modeSeries(factor, u, expansion, directions, order);
        const c = multiply(factor, u);
        information = curvature(expansion, directions).map((jet) => displaced(jet, directions, c));
        likelihood = displaced(expansion, directions, c);
      }
      const b = precision(factor, information);
      const determinant = determinantOf(b);
      if (!(determinant.value > 0) || !(b[0]!.value > 0)) return outside(out);
      const value =
        grid === null
          ? combination([
              [1, likelihood],
              ...u.map((jet) => [-0.5, product(jet, jet)] as const),
              [-0.5, logarithm(determinant)],
            ])
          : combination([
              [-0.5, logarithm(determinant)],
              [1, quadrature(b, determinant, u, factor, (c) => atEffectsOf(phi, plane, c, order), grid)],
            ]);
      if (!Number.isFinite(value.value)) return outside(out);
      out.value = value.value;
      out.gradient.set(value.gradient);
      out.hessian.set(value.hessian);
    },

    modeOf(psi) {
      const factor = factorOf(psi, 0);
      const lambda = Float64Array.from(factor, ({ value }) => value);
      const located = locate(conditional.along(psi.subarray(0, p), directions), lambda);
      if (located === null) return null;
      const b = precision(
        factor,
        Array.from(located.information, (value) => constantJet(value, m, 0)),
      );
      const inverse = inverseOf(
        b.map(({ value }) => value),
        determinantOf(b).value,
      );
      return { b: effects(lambda, located.u), variance: sandwich(lambda, inverse) };
    },
  };
  return objective;
}

function outside(out: Evaluation): void {
  out.value = -Infinity;
  out.gradient.fill(0);
  out.hessian.fill(0);
}

interface Node {
  readonly z: readonly number[];
  /** log w + z'z − (q/2) log π. */
  readonly logWeight: number;
}

function productGrid(points: number, q: number): Node[] {
  const { nodes, weights } = gaussHermite(points);
  const line = Array.from(nodes, (z, k) => ({
    z: [z],
    logWeight: Math.log(weights[k]!) + z * z - Math.log(Math.PI) / 2,
  }));
  if (q === 1) return line;
  return line.flatMap((a) =>
    line.map((b) => ({ z: [...a.z, ...b.z], logWeight: a.logWeight + b.logWeight })),
  );
}

/** log Σₖ exp(logWeightₖ + h(û + √2 R zₖ)), R the lower Cholesky factor of B⁻¹. */
function quadrature(
  b: readonly Jet[],
  determinant: Jet,
  mode: readonly Jet[],
  factor: readonly Jet[],
  likelihood: (c: readonly Jet[]) => Jet,
  grid: readonly Node[],
): Jet {
  const [b11, b21, b22] = b;
  // B⁻¹ = RR': r₁₁ = √(B₂₂/|B|), r₂₁ = −B₂₁/√(|B|B₂₂), r₂₂ = 1/√B₂₂.
  const r: readonly Jet[] =
    b22 === undefined
      ? [power(b11!, -0.5)]
      : [
          product(power(b22, 0.5), power(determinant, -0.5)),
          combination([[-1, product(b21!, product(power(b22, -0.5), power(determinant, -0.5)))]]),
          power(b22, -0.5),
        ];
  const terms = grid.map(({ z, logWeight }) => {
    const u = mode.map((jet, a) =>
      combination([
        [1, jet],
        ...z.slice(0, a + 1).map((zb, k) => [Math.SQRT2 * zb, r[packedIndex(a, k)]!] as const),
      ]),
    );
    const term = combination([
      [1, likelihood(multiply(factor, u))],
      ...u.map((jet) => [-0.5, product(jet, jet)] as const),
    ]);
    return { ...term, value: term.value + logWeight };
  });
  return logSumExp(terms);
}
