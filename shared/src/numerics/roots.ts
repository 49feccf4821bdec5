import { ConcordatError } from '../errors.ts';

/** Brent's method needs far fewer; bisection alone, from any finite bracket, about 1100. */
const ITERATION_LIMIT = 2000;

/**
 * A root of `f` between `lower` and `upper`, where `f` has opposite signs (or is zero), by Brent's method
 * (R. P. Brent, Algorithms for Minimization Without Derivatives, 1973, section 4.3): inverse quadratic
 * interpolation and secant steps, safeguarded by bisection. The root is found to the last digits: within
 * 4 × 2⁻⁵³ of itself. Without a change of sign it throws `numerics/no-bracket`.
 */
export function findRoot(f: (x: number) => number, lower: number, upper: number): number {
  let a = lower;
  let b = upper;
  let fa = f(a);
  let fb = f(b);
  if (fa === 0) return a;
  if (fb === 0) return b;
  if (!(fa < 0 !== fb < 0) || Number.isNaN(fa) || Number.isNaN(fb)) {
    throw new ConcordatError('numerics/no-bracket', 'the function has the same sign at both ends', {
      place: `[${lower}, ${upper}]`,
      remedy: 'widen the interval until the function changes sign',
    });
  }
  // b: best so far; a: the one before; c: the other end of the bracket around the root.
  let c = a;
  let fc = fa;
  let step = b - a;
  let stepBefore = step;
  for (let iteration = 0; iteration < ITERATION_LIMIT; iteration++) {
    if (fb < 0 === fc < 0) {
      c = a;
      fc = fa;
      step = b - a;
      stepBefore = step;
    }
    if (Math.abs(fc) < Math.abs(fb)) {
      a = b;
      b = c;
      c = a;
      fa = fb;
      fb = fc;
      fc = fa;
    }
    const tolerance = 2 * Number.EPSILON * Math.abs(b);
    const half = (c - b) / 2;
    if (Math.abs(half) <= tolerance || fb === 0) return b;
    if (Math.abs(stepBefore) < tolerance || Math.abs(fa) <= Math.abs(fb)) {
      step = half;
      stepBefore = half;
    } else {
      const s = fb / fa;
      let numerator;
      let denominator;
      if (a === c) {
        numerator = 2 * half * s;
        denominator = 1 - s;
      } else {
        const q = fa / fc;
        const r = fb / fc;
        numerator = s * (2 * half * q * (q - r) - (b - a) * (r - 1));
        denominator = (q - 1) * (r - 1) * (s - 1);
      }
      if (numerator > 0) denominator = -denominator;
      else numerator = -numerator;
      const accepted =
        2 * numerator <
        Math.min(
          3 * half * denominator - Math.abs(tolerance * denominator),
          Math.abs(stepBefore * denominator),
        );
      stepBefore = accepted ? step : half;
      step = accepted ? numerator / denominator : half;
    }
    a = b;
    fa = fb;
    b += Math.abs(step) > tolerance ? step : Math.sign(half) * tolerance;
    fb = f(b);
  }
  return b;
}
