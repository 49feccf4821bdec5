/**
 * log Γ(x) for x > 0 by Stirling's series (Abramowitz & Stegun 6.1.41) above 16, by recurrence to it below.
 */
export function logGamma(x: number): number {
  let product = 1;
  let z = x;
  while (z < 16) product *= z++;
  const inverse = 1 / z;
  const square = inverse * inverse;
  const series =
    inverse *
    (1 / 12 -
      square *
        (1 / 360 -
          square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - (square * 691) / 360360)))));
  return (z - 0.5) * Math.log(z) - z + HALF_LOG_2PI + series - Math.log(product);
}

const HALF_LOG_2PI = 0.9189385332046728;

const SMALL = Float64Array.from({ length: 256 }, (_, k) => logGamma(k + 1));

/** log k! (and log Γ(k + 1) where k ≥ 0 is no integer). */
export function logFactorial(k: number): number {
  return SMALL[k] ?? logGamma(k + 1);
}

/** log of the binomial coefficient n over k. */
export function logChoose(n: number, k: number): number {
  return k === 0 || k === n ? 0 : logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}
