import { ConcordatError } from '../errors.ts';
import { cholesky, packedIndex, packedLength, pivotedRank, solveCholesky } from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import type { Response, StudyData } from '../models/types.ts';

/** Participants seen at the same visits. */
export interface Pattern {
  /** Ascending. */
  readonly visits: readonly number[];
  readonly participants: number;
  /**
   * Of each two visits s ≥ t of the pattern, packed by their positions in it: Σⱼ zⱼₛzⱼₛ', or Σⱼ zⱼₛzⱼₜ' + zⱼₜzⱼₛ' where
   * they differ, itself packed over z = (own columns, common columns, y).
   */
  readonly products: readonly Float64Array[];
}

/** All that a fit needs of a study's records; it stays at the site. */
export interface Patterns {
  readonly rows: number;
  /** Columns of the study's own that its rows tell apart. */
  readonly own: number;
  /** Of those, Σ log s²: what the log-determinant of their information lacks to the columns as they are. */
  readonly ownScale: number;
  readonly common: number;
  readonly visits: number;
  readonly patterns: readonly Pattern[];
}

/** Of a column's squared length, what the columns before it leave at least, or it is dependent. */
export const ALIASED = 1e-11;

/**
 * Crossproducts by missingness pattern, in one pass over the rows: a later evaluation takes patterns × visits², not rows.
 *
 * What the own columns (`stratified`, less those that others determine) explain of y and of the common columns by ordinary
 * least squares is taken out of them first. Their elimination gives the same whatever multiple of them is subtracted; the
 * digits of a distant mean are kept.
 */
export function patternsOf(data: StudyData, stratified: readonly number[], scaling: Scaling): Patterns {
  const { n, offset } = data;
  const { y, subject, visit, visits } = repeatedOf(data);
  const standard = (j: number) => {
    const column = data.columns[j]!;
    const [centre, scale] = [scaling.centre[j]!, scaling.scale[j]!];
    return (i: number) => (column[i]! - centre) / scale;
  };
  const commonPositions = [...data.columns.keys()].filter((j) => !stratified.includes(j));
  const outcome = (i: number) => y[i]! - (offset === null ? 0 : offset[i]!);
  const others = [...commonPositions.map(standard), outcome];
  const { kept, coefficients } = project(n, stratified.map(standard), others);
  const own = kept.map((k) => standard(stratified[k]!));
  const size = own.length + others.length;

  const found = new Map<number, { visits: number[]; participants: number; products: Float64Array[] }>();
  // Rows of one participant as the positions and values of what is not zero; most columns are another visit's.
  const places = Array.from({ length: visits }, () => new Int32Array(size));
  const values = Array.from({ length: visits }, () => new Float64Array(size));
  const filled = new Int32Array(visits);
  const z = new Float64Array(size);
  for (let start = 0, end = 0; start < n; start = end) {
    let seen = 0;
    for (end = start; end < n && subject[end] === subject[start]; end++) {
      const at = visit[end]!;
      if (!(at >= 0 && at < visits) || (seen & (1 << at)) !== 0) {
        throw new ConcordatError(
          'numerics/invalid-input',
          'a participant has a visit twice, or one that is not the plan’s',
          {
            place: `row ${end + 1}`,
          },
        );
      }
      seen |= 1 << at;
      for (let a = 0; a < own.length; a++) z[a] = own[a]!(end);
      for (let c = 0; c < others.length; c++) {
        let rest = others[c]!(end);
        for (let a = 0; a < own.length; a++) if (z[a] !== 0) rest -= coefficients[c]![a]! * z[a]!;
        z[own.length + c] = rest;
      }
      let count = 0;
      for (let a = 0; a < size; a++) {
        if (z[a] === 0) continue;
        places[at]![count] = a;
        values[at]![count++] = z[a]!;
      }
      filled[at] = count;
    }
    let pattern = found.get(seen);
    if (pattern === undefined) {
      const list = Array.from({ length: visits }, (_, v) => v).filter((v) => (seen & (1 << v)) !== 0);
      const pairs = packedLength(list.length);
      pattern = {
        visits: list,
        participants: 0,
        products: Array.from({ length: pairs }, () => new Float64Array(packedLength(size))),
      };
      found.set(seen, pattern);
    }
    pattern.participants++;
    const list = pattern.visits;
    for (let s = 0, at = 0; s < list.length; s++) {
      for (let t = 0; t <= s; t++) addProducts(list[s]!, list[t]!, pattern.products[at++]!);
    }
  }
  return {
    rows: n,
    own: own.length,
    ownScale: kept.reduce((sum, k) => sum + 2 * Math.log(scaling.scale[stratified[k]!]!), 0),
    common: commonPositions.length,
    visits,
    patterns: [...found.keys()].toSorted((a, b) => a - b).map((key) => found.get(key)!),
  };

  function addProducts(s: number, t: number, sum: Float64Array): void {
    const [ps, pt, vs, vt] = [places[s]!, places[t]!, values[s]!, values[t]!];
    for (let a = 0; a < filled[s]!; a++) {
      const i = ps[a]!;
      const value = vs[a]!;
      const last = s === t ? a + 1 : filled[t]!;
      for (let b = 0; b < last; b++) {
        const j = pt[b]!;
        sum[packedIndex(i, j)]! += (s !== t && i === j ? 2 : 1) * value * vt[b]!;
      }
    }
  }
}

/** Refuses another response than a repeated one. */
export function repeatedOf({ response }: StudyData): Extract<Response, { kind: 'repeated' }> {
  if (response.kind === 'repeated') return response;
  throw new ConcordatError(
    'numerics/invalid-input',
    `a repeated measures model cannot have a ${response.kind} response`,
  );
}

type Column = (row: number) => number;

/** Which of the own columns are independent, and the others' least-squares coefficients on those. */
export function project(
  n: number,
  own: readonly Column[],
  others: readonly Column[],
): { readonly kept: readonly number[]; readonly coefficients: readonly Float64Array[] } {
  const q = own.length;
  const gram = new Float64Array(packedLength(q));
  const cross = others.map(() => new Float64Array(q));
  const row = new Float64Array(q);
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < q; a++) row[a] = own[a]!(i);
    for (let a = 0, at = 0; a < q; a++) {
      const value = row[a]!;
      if (value === 0) {
        at += a + 1;
        continue;
      }
      for (let b = 0; b <= a; b++) gram[at++]! += value * row[b]!;
      for (let c = 0; c < others.length; c++) cross[c]![a]! += value * others[c]!(i);
    }
  }
  const { dependent } = pivotedRank(gram, ALIASED);
  const kept = own.flatMap((_, a) => (dependent.includes(a) ? [] : [a]));
  const block = new Float64Array(packedLength(kept.length));
  kept.forEach((a, i) =>
    kept.slice(0, i + 1).forEach((b, j) => (block[packedIndex(i, j)] = gram[packedIndex(a, b)]!)),
  );
  const factor = cholesky(block);
  return {
    kept,
    coefficients: cross.map((sums) =>
      solveCholesky(
        factor,
        Float64Array.from(kept, (a) => sums[a]!),
      ),
    ),
  };
}
