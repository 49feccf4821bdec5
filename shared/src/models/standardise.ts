import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { onesOf, type Scaling } from './blocks.ts';
import type { StudyData } from './types.ts';

/**
 * Rows that suffice to choose centres, scales and starting values: any near choice serves as well as the
 * exact one.
 */
export const SAMPLE_ROWS = 8192;

/** A column that varies by less than this share of its mean is constant to within rounding. */
const CONSTANT = 1e-11;
/** A rescaling beyond this is reported. */
const BAD_SCALE = 1e6;

export interface Standardised extends Scaling {
  readonly badlyScaled: readonly number[];
}

/**
 * Centres and scales that give every column mean about 0 and variance about 1, so that covariates of any
 * scale, or with a mean far above their standard deviation, are fitted without loss of digits. Columns are
 * centred where an intercept (or a baseline hazard, `baseline`) absorbs the shift; without one they are
 * scaled by their root mean square alone.
 */
export function standardise(data: StudyData, baseline: boolean): Standardised {
  const intercept = baseline ? -1 : onesOf(data.columns);
  const centred = baseline || intercept >= 0;
  const p = data.columns.length;
  const centre = new Float64Array(p);
  const scale = new Float64Array(p).fill(1);
  const badlyScaled: number[] = [];
  const stride = strideFor(data.n);
  for (let j = 0; j < p; j++) {
    if (j === intercept) continue;
    const column = data.columns[j]!;
    let { mean, sd } = moments(column, stride);
    if (sd === 0 && stride > 1) ({ mean, sd } = moments(column, 1));
    if (!Number.isFinite(sd) || !Number.isFinite(mean)) {
      throw new ConcordatError(
        'numerics/invalid-input',
        'a column of the design is not finite, or too large to square',
        {
          place: data.terms[j] ?? `column ${j}`,
        },
      );
    }
    if (centred) {
      // Of a constant column nothing is left, exactly.
      const constant = sd <= CONSTANT * Math.abs(mean);
      centre[j] = sd === 0 ? column[0]! : mean;
      if (!constant) scale[j] = sd;
      if (!constant && (sd > BAD_SCALE || sd < 1 / BAD_SCALE || Math.abs(mean) > BAD_SCALE * sd))
        badlyScaled.push(j);
    } else {
      const size = Math.hypot(mean, sd);
      if (size > 0) scale[j] = size;
      if (size > BAD_SCALE || (size > 0 && size < 1 / BAD_SCALE)) badlyScaled.push(j);
    }
  }
  return { centre, scale, intercept, badlyScaled };
}

/**
 * Distance between the sampled rows of a study of n rows: odd, so that arms in alternating order are both
 * sampled.
 */
export function strideFor(n: number): number {
  const stride = Math.floor(n / SAMPLE_ROWS);
  return stride < 2 ? 1 : stride | 1;
}

/** Every `stride`th row. */
export function everyRow(data: StudyData, stride: number): StudyData {
  const n = Math.ceil(data.n / stride);
  const pick = (values: Float64Array): Float64Array => {
    const picked = new Float64Array(n);
    for (let i = 0; i < n; i++) picked[i] = values[i * stride]!;
    return picked;
  };
  return taken(data, n, pick, (values) => values.filter((_, i) => i % stride === 0));
}

/** The rows from `from` to before `to`; views of the same memory. */
export function rowsOf(data: StudyData, from: number, to: number): StudyData {
  return taken(
    data,
    to - from,
    (values) => values.subarray(from, to),
    (values) => values.subarray(from, to),
  );
}

function taken(
  data: StudyData,
  n: number,
  pick: (values: Float64Array) => Float64Array,
  pickCodes: (values: Int32Array) => Int32Array,
): StudyData {
  const pickOrNull = (values: Float64Array | null) => (values === null ? null : pick(values));
  const { response } = data;
  const common = { ...data, n, columns: data.columns.map(pick), offset: pickOrNull(data.offset) };
  switch (response.kind) {
    case 'continuous':
    case 'count':
      return { ...common, response: { ...response, y: pick(response.y) } };
    case 'ordinal':
      return { ...common, response: { ...response, level: pickCodes(response.level) } };
    case 'repeated':
      return {
        ...common,
        response: {
          ...response,
          y: pick(response.y),
          subject: pickCodes(response.subject),
          visit: pickCodes(response.visit),
        },
      };
    case 'binary':
      return {
        ...common,
        response: { ...response, events: pick(response.events), trials: pickOrNull(response.trials) },
      };
    case 'time-to-event':
      return {
        ...common,
        response: {
          ...response,
          time: pick(response.time),
          event: pick(response.event),
          entry: pickOrNull(response.entry),
          stratum: response.stratum === null ? null : pickCodes(response.stratum),
        },
      };
  }
}

/**
 * Mean and standard deviation (divisor n) of every `stride`th value; sd exactly 0 where they are all equal.
 */
function moments(column: Float64Array, stride: number): { mean: number; sd: number } {
  const origin = column[0]!;
  let count = 0;
  let sum = 0;
  for (let i = 0; i < column.length; i += stride) {
    sum += column[i]! - origin;
    count++;
  }
  const mean = origin + sum / count;
  let squares = 0;
  let rest = 0;
  let varies = false;
  for (let i = 0; i < column.length; i += stride) {
    const difference = column[i]! - mean;
    squares += difference * difference;
    rest += difference;
    varies ||= column[i] !== origin;
  }
  return { mean, sd: varies ? Math.sqrt(Math.max(0, squares - (rest * rest) / count) / count) : 0 };
}

/**
 * From standardised to the original columns: β = Tγ, V = T Vγ T', T the identity over s but for the
 * intercept's row −c/s.
 */
export function original(
  gamma: Float64Array,
  covariance: Float64Array,
  { centre, scale, intercept }: Standardised,
  factor: number,
): { estimates: Float64Array; vcov: Float64Array } {
  const q = gamma.length;
  const estimates = gamma.map((value, j) => value / scale[j]!);
  // Row i of T: at most all of the intercept's entries, one elsewhere.
  const weight = (i: number, j: number) =>
    i === j ? 1 / scale[j]! : i === intercept ? -centre[j]! / scale[j]! : 0;
  if (intercept >= 0) {
    for (let j = 0; j < q; j++) {
      if (j !== intercept) estimates[intercept]! += weight(intercept, j) * gamma[j]!;
    }
  }
  const vcov = new Float64Array(packedLength(q));
  for (let i = 0; i < q; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < q; k++) {
        if (k !== i && i !== intercept) continue;
        for (let m = 0; m < q; m++) {
          if (m !== j && j !== intercept) continue;
          sum += weight(i, k) * weight(j, m) * covariance[packedIndex(k, m)]!;
        }
      }
      vcov[packedIndex(i, j)] = factor * sum;
    }
  }
  return { estimates, vcov };
}
