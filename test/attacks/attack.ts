/** What an attack is, and how what it recovered is counted. */

export interface Recovered {
  /** Values of individual participants (or counts of fewer than five) that the attacker has right. */
  readonly recovered: number;
  /** Values that it went for. */
  readonly of: number;
}

export interface Attack {
  /** As in the table of docs/attacks.md. */
  readonly name: string;
  /** Key of the policy or mechanism that is switched off. */
  readonly rule: string;
  readonly off: () => Promise<Recovered>;
  /** With the shipped policy and every mechanism. */
  readonly on: () => Promise<Recovered>;
}

export const none = (of: number): Recovered => ({ recovered: 0, of });

/** How many of the truth's values the attacker holds, to `tolerance`. */
export function matches(
  found: readonly (number | null | undefined)[],
  truth: readonly number[],
  tolerance: number,
): Recovered {
  const recovered = truth.filter((value, i) => {
    const guess = found[i];
    return guess !== null && guess !== undefined && Math.abs(guess - value) <= tolerance;
  }).length;
  return { recovered, of: truth.length };
}

/** Deterministic numbers in (0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // The low bits of such a sequence repeat early.
    return ((state >>> 8) + 0.5) / 2 ** 24;
  };
}

/** A draw of a standard normal variable. */
export const normal = (next: () => number): number =>
  Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());

/** Solution of a square system by elimination with partial pivoting; null where it is singular. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] | null {
  const a = matrix.map((row, i) => [...row, right[i]!]);
  const n = a.length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(a[i]![k]!) > Math.abs(a[pivot]![k]!)) pivot = i;
    [a[k], a[pivot]] = [a[pivot]!, a[k]!];
    if (a[k]![k] === 0) return null;
    for (let i = k + 1; i < n; i++) {
      const factor = a[i]![k]! / a[k]![k]!;
      if (factor !== 0) for (let j = k; j <= n; j++) a[i]![j]! -= factor * a[k]![j]!;
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let k = n - 1; k >= 0; k--) {
    let rest = a[k]![n]!;
    for (let j = k + 1; j < n; j++) rest -= a[k]![j]! * x[j]!;
    x[k] = rest / a[k]![k]!;
  }
  return x;
}

/** Least squares with rows of equal weight, by Householder reflections: columns may be ill-conditioned. */
export function leastSquares(
  rows: readonly (readonly number[])[],
  right: readonly number[],
): number[] | null {
  const n = rows[0]?.length ?? 0;
  if (rows.length < n || n === 0) return null;
  const a = rows.map((row, i) => [...row, right[i]!]);
  for (let k = 0; k < n; k++) {
    let norm = 0;
    for (let i = k; i < a.length; i++) norm += a[i]![k]! ** 2;
    norm = Math.sqrt(norm);
    if (norm === 0) return null;
    const alpha = a[k]![k]! > 0 ? -norm : norm;
    const v = a.map((row, i) => (i < k ? 0 : i === k ? row[k]! - alpha : row[k]!));
    const vv = v.reduce((sum, value) => sum + value * value, 0);
    for (let j = k; j <= n; j++) {
      let dot = 0;
      for (let i = k; i < a.length; i++) dot += v[i]! * a[i]![j]!;
      for (let i = k; i < a.length; i++) a[i]![j]! -= (2 * dot * v[i]!) / vv;
    }
  }
  const triangle = a.slice(0, n);
  return solve(
    triangle.map((row, i) => row.slice(0, n).map((value, j) => (j < i ? 0 : value))),
    triangle.map((row) => row[n]!),
  );
}
