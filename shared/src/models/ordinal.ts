import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { drive, newton } from '../numerics/newton.ts';
import { BLOCK } from '../numerics/tile.ts';
import { BlockedDesign, CompensatedSum, type Scaling } from './blocks.ts';
import type { ConditionalObjective, Expansion } from './conditional.ts';
import { wrongResponse, type Family, type NullModel } from './family.ts';
import type { Evaluation, ModelOptions, Objective, Response, StudyData } from './types.ts';

/**
 * Cumulative logit model (proportional odds; McCullagh 1980, JRSS B 42:109) of levels 0 … K − 1: P(yᵢ ≤ k) = F(τ_k − ηᵢ),
 * F logistic, ηᵢ = xᵢ'β + offsetᵢ, so that a coefficient is the log odds ratio of a higher level, as in ordinal::clm.
 * Parameters: β, then the thresholds τ_0 < … < τ_{K−2}. `options.anchored`: τ_0 = 0 is no parameter, and a column of ones
 * says where the scale lies.
 *
 * With a = τ_y − η (∞ at the highest level) and b = τ_{y−1} − η (−∞ at the lowest),
 *
 *   F(a) − F(b) = F(a)·F(−b)·(1 − exp(b − a))
 *
 * so that ℓ = Σ log F(aᵢ) + Σ log F(−bᵢ) + Σ_k n_k log(1 − exp(τ_{k−1} − τ_k)) over the levels k between the lowest and the
 * highest, n_k rows at each: two logistic log-likelihoods and a term of the thresholds alone, none of which loses digits. ℓ
 * is concave; thresholds out of order have value −∞. A level without rows leaves its thresholds together at the
 * supremum: see `presentLevels`.
 */
export const ordinal: Family = {
  name: 'ordinal',
  measure: 'log odds ratio',
  intercept: false,
  divergence: 'separation',
  nonevents: false,

  objective: (data: StudyData, options, scaling: Scaling | null): ConditionalObjective =>
    new CumulativeLogit(data, options.anchored === true, scaling),

  /** Without offset the levels' shares; `intercept` is that of the anchored form, −τ_0. */
  nullModel(data: StudyData): NullModel {
    const { level, levels } = response(data.response);
    const { counts } = presentLevels(level, levels);
    const start = startingThresholds(counts);
    if (data.offset === null || counts.length < 2) {
      const shares = new CompensatedSum();
      for (const count of counts) shares.add(count * Math.log(count / data.n));
      return { logLikelihood: shares.total, intercept: -(start[0] ?? 0), dispersion: 1 };
    }
    const collapsed = collapse(data);
    const alone = new CumulativeLogit({ ...collapsed, columns: [], terms: [] }, false, null);
    const fit = drive(newton(start), alone);
    return { logLikelihood: fit.evaluation.value, intercept: -fit.theta[0]!, dispersion: 1 };
  },

  events: () => null,
  trials: () => null,

  extra(options: ModelOptions, given: Response) {
    const { level, levels } = response(given);
    const start = startingThresholds(levelCounts(level, levels));
    const terms = Array.from(start, (at, k) => ({ term: `threshold${k + 1}`, start: at }));
    if (options.anchored !== true) return terms;
    return terms.slice(1).map(({ term, start: at }) => ({ term, start: at - start[0]! }));
  },
};

function response(given: Response): Extract<Response, { kind: 'ordinal' }> {
  return given.kind === 'ordinal' ? given : wrongResponse('ordinal', given);
}

/** Rows at each level, length `levels`. */
export function levelCounts(level: Int32Array, levels: number): Float64Array {
  const counts = new Float64Array(levels);
  for (let i = 0; i < level.length; i++) {
    const k = level[i]!;
    if (!(k >= 0 && k < levels)) {
      throw new ConcordatError('numerics/invalid-input', `an ordinal level is 0 to ${levels - 1}`);
    }
    counts[k]!++;
  }
  return counts;
}

/**
 * Thresholds at the levels' cumulative shares, logit(Σ_{j≤k} n_j / n), ½ added to each count so that they are in order and
 * finite: K − 1 values. In an anchored model the first is subtracted from the others, and its negative is the intercept.
 */
export function startingThresholds(counts: Float64Array): Float64Array {
  const total = counts.reduce((sum, count) => sum + count + 0.5, 0);
  let below = 0;
  return Float64Array.from(counts.subarray(0, -1), (count) => {
    below += count + 0.5;
    return Math.log(below / (total - below));
  });
}

/** The levels that a study has, ascending, and their rows: those of a fit with thresholds of the study's own. */
export function presentLevels(
  level: Int32Array,
  levels: number,
): { readonly present: readonly number[]; readonly counts: Float64Array } {
  const all = levelCounts(level, levels);
  const present = [...all.keys()].filter((k) => all[k]! > 0);
  return { present, counts: Float64Array.from(present, (k) => all[k]!) };
}

/**
 * The study with its levels renumbered to those it has. The maximum over thresholds of the study's own is the same: that of
 * an absent level meets its neighbour's.
 */
export function collapse(data: StudyData): StudyData {
  const { level, levels } = response(data.response);
  const { present } = presentLevels(level, levels);
  if (present.length === levels) return data;
  const position = new Int32Array(levels);
  present.forEach((k, at) => (position[k] = at));
  return {
    ...data,
    response: { kind: 'ordinal', level: level.map((k) => position[k]!), levels: present.length },
  };
}

const block = (): Float64Array => new Float64Array(BLOCK);
/** Derivatives of log F(a) in a and of log F(−b) in b by row, first to fourth; 0 where a or b is infinite. */
const upper = [block(), block(), block(), block()];
const lower = [block(), block(), block(), block()];
const weightUpper = block();
const weightLower = block();
const shiftedEta = block();
/** 2^255 factors of at most 4. */
const FACTORS = 255;

class CumulativeLogit implements ConditionalObjective {
  readonly parameters: number;
  readonly #data: StudyData;
  readonly #design: BlockedDesign;
  readonly #level: Int32Array;
  readonly #counts: Float64Array;
  readonly #p: number;
  readonly #anchored: boolean;

  constructor(data: StudyData, anchored: boolean, scaling: Scaling | null) {
    const { level, levels } = response(data.response);
    this.#data = data;
    this.#design = new BlockedDesign(data, scaling);
    this.#level = level;
    this.#counts = levelCounts(level, levels);
    this.#p = data.columns.length;
    this.#anchored = anchored;
    this.parameters = this.#p + levels - 1 - (anchored ? 1 : 0);
  }

  evaluate(theta: Float64Array, order: 0 | 1 | 2, out: Evaluation): void {
    this.#pass(theta, order, out, null);
  }

  expand(phi: Float64Array, directions: readonly Float64Array[], order: 1 | 2, out: Expansion): void {
    for (const matrix of [...out.third, ...(order === 2 ? out.fourth : [])]) matrix.fill(0);
    const shifts = directions.map((direction) => this.#thresholds(direction));
    const z = directions.map((direction) => this.#predictor(direction, false));
    this.#pass(phi, order + 2, out, (start, rows) => {
      for (let a = 0; a < directions.length; a++) {
        this.#weigh(start, rows, 2, [a], z, shifts);
        this.#addMatrix(start, rows, out.third[a]!);
        for (let b = 0; b <= a && order === 2; b++) {
          this.#weigh(start, rows, 3, [a, b], z, shifts);
          this.#addMatrix(start, rows, out.fourth[packedIndex(a, b)]!);
        }
      }
    });
    const tau = this.#thresholds(phi);
    for (let k = 1; k < tau.length; k++) {
      const [, , , third, fourth] = gap(tau[k]! - tau[k - 1]!);
      const move = shifts.map((shift) => shift[k]! - shift[k - 1]!);
      for (let a = 0; a < move.length; a++) {
        this.#addGap(k, this.#counts[k]! * third * move[a]!, out.third[a]!);
        for (let b = 0; b <= a && order === 2; b++)
          this.#addGap(k, this.#counts[k]! * fourth * move[a]! * move[b]!, out.fourth[packedIndex(a, b)]!);
      }
    }
  }

  along(phi: Float64Array, directions: readonly Float64Array[]): Objective {
    const tau = this.#thresholds(phi);
    const shifts = directions.map((direction) => this.#thresholds(direction));
    const eta = this.#predictor(phi, true);
    const z = directions.map((direction) => this.#predictor(direction, false));
    const { n } = this.#data;
    const evaluate = (
      c: Float64Array,
      order: 0 | 1 | 2,
      { gradient, hessian, ...out }: Evaluation,
    ): number => {
      const at = tau.map((value, k) => shifts.reduce((sum, shift, a) => sum + c[a]! * shift[k]!, value));
      gradient.fill(0);
      hessian.fill(0);
      const value = new CompensatedSum();
      for (let k = 1; k < at.length; k++) {
        const [log, first, second] = gap(at[k]! - at[k - 1]!);
        value.add(log === -Infinity ? log : this.#counts[k]! * log);
        const move = shifts.map((shift) => shift[k]! - shift[k - 1]!);
        for (let a = 0; a < move.length; a++) {
          gradient[a]! += this.#counts[k]! * first * move[a]!;
          for (let b = 0; b <= a; b++)
            hessian[packedIndex(a, b)]! += this.#counts[k]! * second * move[a]! * move[b]!;
        }
      }
      if (value.total === -Infinity) return value.total;
      for (let start = 0; start < n; start += BLOCK) {
        const rows = Math.min(BLOCK, n - start);
        for (let k = 0; k < rows; k++) {
          let h = eta[start + k]!;
          for (let a = 0; a < z.length; a++) h += c[a]! * z[a]![start + k]!;
          shiftedEta[k] = h;
        }
        value.add(this.#rows(shiftedEta, at, start, rows, order));
        if (order > 0) this.#addAlong(z, shifts, start, rows, gradient, order === 2 ? hessian : null);
      }
      void out;
      return value.total;
    };
    return {
      parameters: directions.length,
      evaluate(c, order, out): void {
        out.value = evaluate(c, order, out);
      },
    };
  }

  /** τ_0 … τ_{K−2} of a parameter vector, or how a direction moves them. */
  #thresholds(phi: Float64Array): Float64Array {
    const own = phi.subarray(this.#p);
    return this.#anchored ? Float64Array.of(0, ...own) : own;
  }

  #predictor(phi: Float64Array, offset: boolean): Float64Array {
    const eta = new Float64Array(this.#data.n);
    this.#design.predictAll(phi, offset, eta);
    return eta;
  }

  /** Value, gradient, Hessian (depth ≥ 2); `more` after each block's derivatives. */
  #pass(
    theta: Float64Array,
    depth: number,
    out: Evaluation,
    more: ((start: number, rows: number) => void) | null,
  ): void {
    const design = this.#design;
    const tau = this.#thresholds(theta);
    const first = this.#anchored ? 1 : 0;
    out.gradient.fill(0);
    if (depth >= 2) out.hessian.fill(0);
    const value = new CompensatedSum();
    for (let k = 1; k < tau.length; k++) {
      const [log, slope, curvature] = gap(tau[k]! - tau[k - 1]!);
      if (log === -Infinity) {
        out.value = -Infinity;
        return;
      }
      const rows = this.#counts[k]!;
      value.add(rows * log);
      out.gradient[this.#p + k - first]! += rows * slope;
      if (k > first) out.gradient[this.#p + k - 1 - first]! -= rows * slope;
      if (depth >= 2) this.#addGap(k, rows * curvature, out.hessian);
    }
    design.begin();
    for (let start = 0; start < this.#data.n; start += BLOCK) {
      const rows = design.load(start, theta);
      value.add(this.#rows(design.eta, tau, start, rows, depth));
      if (depth >= 1) {
        const { residual } = design;
        for (let k = 0; k < rows; k++) residual[k] = -(upper[0]![k]! + lower[0]![k]!);
        design.addGradient(rows, out.gradient);
        this.#addThresholds(
          upper[0]!,
          lower[0]!,
          start,
          rows,
          (t, sum) => (out.gradient[this.#p + t]! += sum),
        );
      }
      if (depth >= 2) {
        weightUpper.set(upper[1]!.subarray(0, rows));
        weightLower.set(lower[1]!.subarray(0, rows));
        this.#addMatrix(start, rows, out.hessian);
      }
      more?.(start, rows);
    }
    out.value = value.total;
  }

  /** Log-likelihood of a block's rows but for the gaps between thresholds; derivatives to `depth` in `upper` and `lower`. */
  #rows(eta: Float64Array, tau: Float64Array, start: number, rows: number, depth: number): number {
    const highest = tau.length;
    let value = 0;
    let factors = 1;
    for (let k = 0; k < rows; k++) {
      const level = this.#level[start + k]!;
      for (const side of [1, -1]) {
        const derivatives = side === 1 ? upper : lower;
        if (level === (side === 1 ? highest : 0)) {
          for (let d = 0; d < depth; d++) derivatives[d]![k] = 0;
          continue;
        }
        // log F(u), u = a or −b.
        const u = side === 1 ? tau[level]! - eta[k]! : eta[k]! - tau[level - 1]!;
        const e = Math.exp(-Math.abs(u));
        factors *= 1 + e;
        if (u < 0) value += u;
        if (depth < 1) continue;
        const inverse = 1 / (1 + e);
        const above = u >= 0 ? e * inverse : inverse;
        const product = e * inverse * inverse;
        derivatives[0]![k] = side * above;
        if (depth < 2) continue;
        derivatives[1]![k] = -product;
        if (depth < 3) continue;
        derivatives[2]![k] = -side * product * (2 * above - 1);
        if (depth < 4) continue;
        derivatives[3]![k] = -product * (1 - 6 * product);
      }
      if (k % FACTORS === FACTORS - 1) {
        value -= Math.log(factors);
        factors = 1;
      }
    }
    return value - Math.log(factors);
  }

  /** Weights of a third (d = 2) or fourth (d = 3) derivative: times how the named directions move a and b. */
  #weigh(
    start: number,
    rows: number,
    d: number,
    along: readonly number[],
    zs: readonly Float64Array[],
    shifts: readonly Float64Array[],
  ): void {
    weightUpper.set(upper[d]!.subarray(0, rows));
    weightLower.set(lower[d]!.subarray(0, rows));
    for (const a of along) {
      const [z, shift] = [zs[a]!, shifts[a]!];
      for (let k = 0; k < rows; k++) {
        const level = this.#level[start + k]!;
        weightUpper[k]! *= (shift[level] ?? 0) - z[start + k]!;
        weightLower[k]! *= (shift[level - 1] ?? 0) - z[start + k]!;
      }
    }
  }

  /** Adds Σ w_a v_a v_a' + w_b v_b v_b', v the gradient of a or b in the parameters, for `weightUpper` and `weightLower`. */
  #addMatrix(start: number, rows: number, target: Float64Array): void {
    const design = this.#design;
    const { weight, residual } = design;
    const [p, first] = [this.#p, this.#anchored ? 1 : 0];
    for (let k = 0; k < rows; k++) weight[k] = -(weightUpper[k]! + weightLower[k]!);
    design.subtractInformation(rows, target);
    for (let t = first; t < this.#counts.length - 1; t++) {
      for (let k = 0; k < rows; k++) {
        const level = this.#level[start + k]!;
        residual[k] = level === t ? -weightUpper[k]! : level === t + 1 ? -weightLower[k]! : 0;
      }
      design.addGradient(rows, target.subarray(packedLength(p + t - first)));
    }
    this.#addThresholds(weightUpper, weightLower, start, rows, (t, sum) => {
      target[packedIndex(p + t, p + t)]! += sum;
    });
  }

  /** For each threshold that is a parameter, by position after the columns, the sum over the rows that it bounds. */
  #addThresholds(
    above: Float64Array,
    below: Float64Array,
    start: number,
    rows: number,
    add: (threshold: number, sum: number) => void,
  ): void {
    const sums = new Float64Array(this.#counts.length + 1);
    for (let k = 0; k < rows; k++) {
      const level = this.#level[start + k]!;
      // Of the lowest and the highest level one of the two is 0.
      sums[level + 1]! += above[k]!;
      sums[level]! += below[k]!;
    }
    const first = this.#anchored ? 1 : 0;
    for (let t = first; t < this.#counts.length - 1; t++) add(t - first, sums[t + 1]!);
  }

  /** Adds w(u_k − u_{k−1})(u_k − u_{k−1})', u the thresholds' unit vectors. */
  #addGap(k: number, w: number, target: Float64Array): void {
    const first = this.#anchored ? 1 : 0;
    const at = this.#p + k - first;
    target[packedIndex(at, at)]! += w;
    if (k === first) return;
    target[packedIndex(at, at - 1)]! -= w;
    target[packedIndex(at - 1, at - 1)]! += w;
  }

  #addAlong(
    z: readonly Float64Array[],
    shifts: readonly Float64Array[],
    start: number,
    rows: number,
    gradient: Float64Array,
    hessian: Float64Array | null,
  ): void {
    for (let k = 0; k < rows; k++) {
      const level = this.#level[start + k]!;
      for (let a = 0; a < z.length; a++) {
        const za = z[a]![start + k]!;
        const ua = (shifts[a]![level] ?? 0) - za;
        const la = (shifts[a]![level - 1] ?? 0) - za;
        gradient[a]! += upper[0]![k]! * ua + lower[0]![k]! * la;
        for (let b = 0; b <= a && hessian !== null; b++) {
          const zb = z[b]![start + k]!;
          const ub = (shifts[b]![level] ?? 0) - zb;
          const lb = (shifts[b]![level - 1] ?? 0) - zb;
          hessian[packedIndex(a, b)]! += upper[1]![k]! * ua * ub + lower[1]![k]! * la * lb;
        }
      }
    }
  }
}

/** log(1 − e^−δ) and its first four derivatives, with h = 1/(e^δ − 1), h' = −h(1 + h); −∞ where δ ≤ 0. */
function gap(delta: number): readonly [number, number, number, number, number] {
  if (!(delta > 0)) return [-Infinity, 0, 0, 0, 0];
  const h = 1 / Math.expm1(delta);
  const slope = h * (1 + h);
  return [Math.log(-Math.expm1(-delta)), h, -slope, slope * (1 + 2 * h), -slope * (1 + 6 * slope)];
}
