import { ConcordatError } from '../errors.ts';

/**
 * Sums over sites in fixed point: integers modulo 2¹²⁸ in units of 2⁻⁶⁴. Addition of integers is exact, so a sum does
 * not depend on the order of its terms, and masks that cancel (secure aggregation) change no bit of it. A number within
 * ±2⁵⁸ keeps what it has above 2⁻⁶⁵ in absolute terms, which standardised columns keep far below every figure's rounding.
 */
const FRACTION_BITS = 64n;
/** Terms beyond it are refused, never clipped: 32 of them cannot reach the ring's half, ±2⁶³. */
const LIMIT = 2 ** 58;
/** No sum is beyond it. */
export const SUM_LIMIT = 2 ** 63;
const MANTISSA_BITS = 52;
const BIAS = 1023;

const float = new Float64Array(1);
const bits = new BigUint64Array(float.buffer);

/** The nearest ring element (ties away from zero) of a finite number of at most 2⁵⁸. */
export function toRing(value: number): bigint {
  if (!(Math.abs(value) <= LIMIT)) {
    throw new ConcordatError('numerics/invalid-input', 'a number is too large for sums over sites', {
      remedy: 'express the outcome or the covariates in a larger unit',
    });
  }
  float[0] = Math.abs(value);
  const exponent = Number(bits[0]! >> BigInt(MANTISSA_BITS));
  const fraction = bits[0]! & 0xfffffffffffffn;
  const mantissa = exponent === 0 ? fraction : fraction | 0x10000000000000n;
  const shift = Math.max(exponent, 1) - BIAS - MANTISSA_BITS + Number(FRACTION_BITS);
  let magnitude: bigint;
  if (shift >= 0) magnitude = mantissa << BigInt(shift);
  else magnitude = shift < -54 ? 0n : ((mantissa >> BigInt(-shift - 1)) + 1n) >> 1n;
  return value < 0 ? -magnitude : magnitude;
}

/** The double nearest to a ring element. */
export function fromRing(element: bigint): number {
  const signed = BigInt.asIntN(128, element);
  // Number() rounds a bigint correctly, and scaling by a power of two is exact.
  return Number(signed) * 2 ** -Number(FRACTION_BITS);
}

/**
 * Sums of vectors of one length, in doubles again. Throws `numerics/invalid-input` where a term, or a sum, is out of
 * range.
 */
export function ringSum(vectors: readonly Float64Array[]): Float64Array {
  const length = vectors[0]?.length ?? 0;
  const sum = new Float64Array(length);
  for (let j = 0; j < length; j++) {
    let total = 0n;
    for (const vector of vectors) total += toRing(vector[j]!);
    if (BigInt.asIntN(128, total) !== total) {
      throw new ConcordatError('numerics/invalid-input', 'a sum over sites is out of range', {
        remedy: 'express the outcome or the covariates in a larger unit',
      });
    }
    sum[j] = fromRing(total);
  }
  return sum;
}
