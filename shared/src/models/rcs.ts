/**
 * Harrell's restricted cubic spline basis with k knots t₁ < … < t_k, as Hmisc::rcspline.eval with
 * inclx = TRUE and norm = 2 (Harrell, Regression Modeling Strategies, 2nd ed., eq. 2.24–2.25):
 *
 *   index 0:              x
 *   index j, 1 ≤ j ≤ k−2: [(x−tⱼ)₊³ − (x−t_{k−1})₊³ (t_k−tⱼ)/(t_k−t_{k−1})
 *                          + (x−t_k)₊³ (t_{k−1}−tⱼ)/(t_k−t_{k−1})] / (t_k−t₁)²
 *
 * The division keeps every column on the scale of x. Each column is linear beyond the outer knots.
 */

/** Cube of the positive part. */
const cube = (u: number): number => (u > 0 ? u * u * u : 0);

/**
 * @param x value of the variable, in its own unit
 * @param knots at least 3, increasing; the same unit
 * @param index 0 … k−2
 */
export function rcsBasis(x: number, knots: readonly number[], index: number): number {
  if (index === 0) return x;
  const first = knots[0]!;
  const last = knots[knots.length - 1]!;
  const penultimate = knots[knots.length - 2]!;
  const t = knots[index - 1]!;
  const gap = last - penultimate;
  const range = last - first;
  const cubic =
    cube(x - t) - (cube(x - penultimate) * (last - t)) / gap + (cube(x - last) * (penultimate - t)) / gap;
  return cubic / (range * range);
}
