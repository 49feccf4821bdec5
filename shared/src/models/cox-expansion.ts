import { packedIndex } from '../linalg/symmetric.ts';
import { BLOCK, loadColumn, subtractInformation, workspace, type Workspace } from '../numerics/tile.ts';
import type { Expansion } from './conditional.ts';
import type { RiskSets } from './risk-sets.ts';

/** The rows of a Cox model in the order of its risk sets. */
export interface CoxRows {
  readonly sets: RiskSets;
  readonly efron: boolean;
  /** Rows that are ever at risk. */
  readonly n: number;
  /** Columns. */
  readonly p: number;
  /** Column j at j·n. */
  readonly x: Float64Array;
}

/**
 * Third and fourth derivatives of a Cox model's log partial likelihood (see `cox.ts`) along directions.
 *
 * Each of its terms −log Σ wᵢrᵢ, wᵢ = 1 − φ_l for the rows with the event and 1 for the others at risk, is minus a cumulant
 * generating function: with expectations E over the weights wᵢrᵢ of term t, z = x'd_a, y = x'd_b, z̄ = Ez, m = Ex,
 *
 *   ∂H/∂c_a       = −Σ_t κ(z, x, x'),  κ(z, x, x') = E[(z − z̄)xx'] − um' − mu',   u = cov(z, x)
 *   ∂²H/∂c_a∂c_b  = −Σ_t κ(z, y, x, x') = −Σ_t {E[((z − z̄)(y − ȳ) − cov(z, y))xx'] − sm' − ms' − u_a u_b' − u_b u_a'},
 *                    s = κ(z, y, x)
 *
 * (joint cumulants: McCullagh, Tensor Methods in Statistics, 1987, §2.3). As for the information, expectations of xx' are
 * taken by rows, whose weights are sums over the terms at which a row is at risk; the rest is at most two or three
 * crossproducts over the terms. O(np²) in all.
 *
 * @param r exp(η) of each row, in units of its stratum's
 * @param z q columns x'd of n
 * @param out `third`, and `fourth` where `order` is 2, are filled
 */
export function addCumulants(
  rows: CoxRows,
  r: Float64Array,
  z: readonly Float64Array[],
  order: 1 | 2,
  out: Expansion,
): void {
  for (const matrix of [...out.third, ...out.fourth]) matrix.fill(0);
  const weighted = moments(r, z, order);
  const terms = termsOf(rows, weighted, z.length, order);
  addRows(rows, weighted, terms, z.length, order, out);
  addTerms(rows, weighted, terms, z.length, order, out);
}

/** r, then r·z_a, then (order 2) r·z_a·z_b, packed by (a, b): the moments of the directions. */
function moments(r: Float64Array, z: readonly Float64Array[], order: 1 | 2): Float64Array[] {
  const first = z.map((column) => product(column, r));
  const second =
    order === 1
      ? []
      : z.flatMap((column, a) => first.slice(0, a + 1).map((weighted) => product(column, weighted)));
  return [r, ...first, ...second];
}

function product(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < out.length; i++) out[i] = a[i]! * b[i]!;
  return out;
}

/** Terms of the log partial likelihood: an event of tied ones (Efron), or an event time (Breslow). */
interface Terms {
  /** Terms start[e] … start[e+1] − 1 are event time e's. */
  readonly start: Uint32Array;
  /** How often a term counts. */
  readonly count: Float64Array;
  /** φ and 1/(S0 − φD0). */
  readonly share: Float64Array;
  readonly inverse: Float64Array;
  /** z̄_a, then cov(z_a, z_b): one array a moment, but for the first. */
  readonly centred: readonly Float64Array[];
}

function termsOf(
  { sets, efron, n }: CoxRows,
  weighted: readonly Float64Array[],
  q: number,
  order: 1 | 2,
): Terms {
  const { times, deaths } = sets;
  const start = new Uint32Array(times + 1);
  for (let e = 0; e < times; e++) start[e + 1] = start[e]! + (efron ? deaths[e]! : 1);
  const total = start[times]!;
  const count = new Float64Array(total).fill(1);
  const share = new Float64Array(total);
  for (let e = 0; e < times; e++) {
    if (!efron) count[e] = deaths[e]!;
    else for (let t = start[e]!; t < start[e + 1]!; t++) share[t] = (t - start[e]!) / deaths[e]!;
  }
  const inverse = new Float64Array(total);
  const ones = new Float64Array(n).fill(1);
  const sums = weighted.map((values) => {
    const out = new Float64Array(total);
    overRiskSets(sets, start, share, values, ones, 0, 0, total, 0, out, 0);
    return out;
  });
  for (let t = 0; t < total; t++) inverse[t] = 1 / sums[0]![t]!;
  const centred = sums.slice(1).map((values) => product(values, inverse));
  for (let a = 0; order === 2 && a < q; a++) {
    for (let b = 0; b <= a; b++) {
      const covariance = centred[q + packedIndex(a, b)]!;
      for (let t = 0; t < total; t++) covariance[t]! -= centred[a]![t]! * centred[b]![t]!;
    }
  }
  return { start, count, share, inverse, centred };
}

/**
 * out[at + t] = Σ wᵢvᵢxᵢ over the risk set of term t, from `to` − 1 down to `from`, given the sum after `to`; returns the
 * sum before `from`, φ aside. Every stratum starts at 0 by itself.
 */
function overRiskSets(
  { groupStart, deaths, stratumStart, entered, enteredStart, times }: RiskSets,
  start: Uint32Array,
  share: Float64Array,
  values: Float64Array,
  x: Float64Array,
  base: number,
  from: number,
  to: number,
  after: number,
  out: Float64Array,
  at: number,
): number {
  let sum = after;
  let stratum = stratumStart.length - 2;
  for (let e = eventOf(start, times, to - 1); e >= 0 && start[e + 1]! > from; e--) {
    while (stratumStart[stratum]! > e) stratum--;
    const [begin, end] = [start[e]!, start[e + 1]!];
    const group = groupStart[e]!;
    if (end <= to) {
      if (e + 1 === stratumStart[stratum + 1]) sum = 0;
      for (let i = group; i < groupStart[e + 1]!; i++) sum += values[i]! * x[base + i]!;
    }
    if (end - begin === 1) {
      out[at + begin] = sum;
    } else {
      let tied = 0;
      for (let i = group; i < group + deaths[e]!; i++) tied += values[i]! * x[base + i]!;
      for (let t = Math.max(from, begin); t < Math.min(to, end); t++) out[at + t] = sum - share[t]! * tied;
    }
    if (entered !== null && begin >= from) {
      for (let k = enteredStart![e]!; k < enteredStart![e + 1]!; k++) {
        const i = entered[k]!;
        sum -= values[i]! * x[base + i]!;
      }
    }
  }
  return sum;
}

/** The event time that term t is of. */
function eventOf(start: Uint32Array, times: number, t: number): number {
  let [low, high] = [0, times];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (start[middle]! <= t) low = middle;
    else high = middle;
  }
  return low;
}

/** What E[·xx'] gives, by rows. */
function addRows(
  rows: CoxRows,
  weighted: readonly Float64Array[],
  terms: Terms,
  q: number,
  order: 1 | 2,
  out: Expansion,
): void {
  const { n, p, x } = rows;
  const { count, inverse, centred } = terms;
  const r = weighted[0]!;
  const hazard = product(count, inverse);
  const h = overRows(rows, terms, hazard);
  const g = centred.slice(0, q).map((mean) => overRows(rows, terms, product(hazard, mean)));
  const weights: { readonly matrix: Float64Array; readonly v: Float64Array }[] = [];
  for (let a = 0; a < q; a++) {
    const [za, ga] = [weighted[1 + a]!, g[a]!];
    const v = new Float64Array(n);
    for (let i = 0; i < n; i++) v[i] = za[i]! * h[i]! - r[i]! * ga[i]!;
    weights.push({ matrix: out.third[a]!, v });
    for (let b = 0; order === 2 && b <= a; b++) {
      const [zb, gb] = [weighted[1 + b]!, g[b]!];
      const k = q + packedIndex(a, b);
      const zab = weighted[1 + k]!;
      const [meanA, meanB, covariance] = [centred[a]!, centred[b]!, centred[k]!];
      const second = new Float64Array(hazard.length);
      for (let t = 0; t < second.length; t++)
        second[t] = hazard[t]! * (meanA[t]! * meanB[t]! - covariance[t]!);
      const gab = overRows(rows, terms, second);
      const w = new Float64Array(n);
      for (let i = 0; i < n; i++)
        w[i] = zab[i]! * h[i]! - za[i]! * gb[i]! - zb[i]! * ga[i]! + r[i]! * gab[i]!;
      weights.push({ matrix: out.fourth[packedIndex(a, b)]!, v: w });
    }
  }
  const space = workspace(p);
  for (let start = 0; start < n; start += BLOCK) {
    const size = Math.min(BLOCK, n - start);
    for (let j = 0; j < p; j++) loadColumn(space, j, x, j * n + start, size);
    for (const { matrix, v } of weights) {
      space.weight.set(v.subarray(start, start + size));
      subtractInformation(p, size, space, matrix);
    }
  }
}

/** Σ wᵢₜcₜ of each row over the terms at which it is at risk. */
function overRows(
  { sets: { times, groupStart, deaths, stratumStart, first }, n }: CoxRows,
  { start, share }: Terms,
  c: Float64Array,
): Float64Array {
  const out = new Float64Array(n);
  // Cumulative within the stratum, before each event time.
  const before = new Float64Array(times);
  let [stratum, sum] = [0, 0];
  for (let e = 0; e < times; e++) {
    if (e === stratumStart[stratum]) {
      sum = 0;
      stratum++;
    }
    before[e] = sum;
    let tied = 0;
    for (let t = start[e]!; t < start[e + 1]!; t++) {
      sum += c[t]!;
      tied += share[t]! * c[t]!;
    }
    const died = groupStart[e]! + deaths[e]!;
    for (let i = groupStart[e]!; i < groupStart[e + 1]!; i++) {
      out[i] = (first === null ? sum : sum - before[first[i]!]!) - (i < died ? tied : 0);
    }
  }
  return out;
}

/** What m, u and s give, a block of terms of one stratum at a time, from the last backwards. */
function addTerms(
  { sets, n, p, x }: CoxRows,
  weighted: readonly Float64Array[],
  { start, count, share, inverse, centred }: Terms,
  q: number,
  order: 1 | 2,
  out: Expansion,
): void {
  const total = count.length;
  const size = Math.min(BLOCK, total);
  const kinds = weighted.length;
  const running = weighted.map(() => new Float64Array(p));
  // m, u_a, s_ab of column j at j·size.
  const blocks = weighted.map(() => new Float64Array(p * size));
  const space = workspace(p);
  for (let to = total; to > 0;) {
    const from = Math.max(0, to - size);
    for (let j = 0; j < p; j++) {
      const at = j * size - from;
      for (let k = 0; k < kinds; k++) {
        const block = blocks[k]!;
        const before = running[k]!;
        before[j] = overRiskSets(sets, start, share, weighted[k]!, x, j * n, from, to, before[j]!, block, at);
        for (let t = from; t < to; t++) block[at + t]! *= inverse[t]!;
      }
      centre(blocks, centred, q, order, j * size, from, to);
    }
    const rows = to - from;
    const pair = (a: Float64Array, b: Float64Array, matrix: Float64Array): void =>
      addPairs(space, p, rows, size, a, b, count.subarray(from, to), matrix);
    for (let a = 0; a < q; a++) {
      pair(blocks[1 + a]!, blocks[0]!, out.third[a]!);
      for (let b = 0; order === 2 && b <= a; b++) {
        const matrix = out.fourth[packedIndex(a, b)]!;
        pair(blocks[1 + q + packedIndex(a, b)]!, blocks[0]!, matrix);
        pair(blocks[1 + a]!, blocks[1 + b]!, matrix);
      }
    }
    to = from;
  }
}

/** From E[zx] and E[zyx] to u = E[(z − z̄)x] and s = E[(z − z̄)(y − ȳ)x] − cov(z, y)·m. */
function centre(
  blocks: readonly Float64Array[],
  centred: readonly Float64Array[],
  q: number,
  order: 1 | 2,
  base: number,
  from: number,
  to: number,
): void {
  const m = blocks[0]!;
  for (let t = from, k = base; t < to; t++, k++) {
    for (let a = 0; order === 2 && a < q; a++) {
      for (let b = 0; b <= a; b++) {
        const ab = packedIndex(a, b);
        const [za, zb] = [centred[a]![t]!, centred[b]![t]!];
        blocks[1 + q + ab]![k]! +=
          (za * zb - centred[q + ab]![t]!) * m[k]! - za * blocks[1 + b]![k]! - zb * blocks[1 + a]![k]!;
      }
    }
    for (let a = 0; a < q; a++) blocks[1 + a]![k]! -= centred[a]![t]! * m[k]!;
  }
}

/** matrix += Σ count·(ab' + ba'), as ½[(a + b)(a + b)' − (a − b)(a − b)'], or 2aa' where they are one. */
function addPairs(
  space: Workspace,
  p: number,
  rows: number,
  size: number,
  a: Float64Array,
  b: Float64Array,
  count: Float64Array,
  matrix: Float64Array,
): void {
  const column = new Float64Array(rows);
  for (const sign of a === b ? [1] : [1, -1]) {
    for (let j = 0; j < p; j++) {
      const base = j * size;
      if (a === b) column.set(a.subarray(base, base + rows));
      else for (let k = 0; k < rows; k++) column[k] = a[base + k]! + sign * b[base + k]!;
      loadColumn(space, j, column, 0, rows);
    }
    const factor = a === b ? -2 : -sign / 2;
    for (let k = 0; k < rows; k++) space.weight[k] = factor * count[k]!;
    subtractInformation(p, rows, space, matrix);
  }
}
