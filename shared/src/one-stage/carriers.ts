import type { Scaling } from '../models/blocks.ts';
import type { StudyData } from '../models/types.ts';
import { commonPositions } from './likelihood-study.ts';
import type { OneStageSpec } from './types.ts';

/** Rows that are looked at first: where they carry enough, all do. */
const SAMPLE = 4096;
/** Halvings of the interval in which a study's own intercept lies. */
const HALVINGS = 40;
const FAR = 60;

/**
 * Among how many participants an answer about parameters θ is divided: (Σ w)²/Σ w² (Kish 1965) of the weights that they have in the
 * Hessian at θ. With steep coefficients a logistic weight p(1 − p) is nobody's but theirs whose linear predictor is near 0, and a hazard
 * or a mean e^η is the largest one's: such a θ is a selector, whatever the design, and the answers of several are solved for
 * what they select. Null: no weights depend on θ. Only what exceeds `enough` matters, so that a sample of the rows may do.
 *
 * Ordinal: at each threshold. A study's own intercept or thresholds, which no θ holds, are where its outcomes have their mean, or at
 * the middle of its linear predictors.
 */
export function carriers(
  spec: OneStageSpec,
  data: StudyData,
  scaling: Scaling,
  theta: Float64Array,
  enough: number,
): number | null {
  if (spec.kind !== 'likelihood' && spec.kind !== 'firth') return null;
  if (spec.options.family === 'gaussian' || spec.options.link === 'identity' || data.n === 0) return null;
  const stride = Math.ceil(data.n / SAMPLE);
  const sample = stride > 1 ? carriersAmong(spec, data, scaling, theta, stride) : 0;
  return sample >= enough ? sample : carriersAmong(spec, data, scaling, theta, 1);
}

function carriersAmong(
  spec: OneStageSpec,
  { n, columns, response, offset }: StudyData,
  { centre, scale }: Scaling,
  theta: Float64Array,
  stride: number,
): number {
  const common = commonPositions(spec);
  const eta = new Float64Array(Math.ceil(n / stride));
  common.forEach((j, k) => {
    const column = columns[j];
    const coefficient = theta[k]!;
    if (column === undefined || coefficient === 0) return;
    const [c, factor] = [j === spec.intercept ? 0 : centre[j]!, coefficient / scale[j]!];
    for (let i = 0; i < eta.length; i++) eta[i]! += factor * (column[i * stride]! - c);
  });
  if (offset !== null) for (let i = 0; i < eta.length; i++) eta[i]! += offset[i * stride]!;
  const { family, link } = spec.options;
  const trials = response.kind === 'binary' ? response.trials : null;
  const people = trials === null ? null : eta.map((_, i) => trials[i * stride]!);
  if (family !== 'binomial' && family !== 'ordinal') return effective(eta, people);
  if (link === 'log') return effective(eta, people);
  const logWeights = (level: number): Float64Array =>
    eta.map((value) => {
      const size = Math.abs(value + level);
      return -size - 2 * Math.log1p(Math.exp(-size));
    });
  if (family === 'ordinal') {
    const thresholds = common.flatMap((j, k) => (j >= columns.length ? [theta[k]!] : []));
    const levels = thresholds.length > 0 ? thresholds : [eta.toSorted()[eta.length >> 1]!];
    return Math.min(...levels.map((level) => effective(logWeights(-level), people)));
  }
  const own = spec.stratified.includes(spec.intercept) && response.kind === 'binary';
  return effective(logWeights(own ? ownIntercept(eta, response, stride) : 0), people);
}

/** (Σ w)²/Σ w² of weights given as logarithms, each of `people` (null: one) who share a row. */
function effective(logWeights: Float64Array, people: Float64Array | null): number {
  let largest = -Infinity;
  for (const value of logWeights) if (value > largest) largest = value;
  let [sum, squares] = [0, 0];
  logWeights.forEach((value, i) => {
    const weight = Math.exp(value - largest);
    const count = people === null ? 1 : people[i]!;
    sum += count * weight;
    squares += count * weight * weight;
  });
  return squares > 0 ? (sum * sum) / squares : 0;
}

/** Where Σ logistic(η + level) is the number of events. */
function ownIntercept(
  eta: Float64Array,
  { events, trials }: Extract<StudyData['response'], { kind: 'binary' }>,
  stride: number,
): number {
  const people = (i: number): number => trials?.[i * stride] ?? 1;
  let [total, low, high] = [0, Infinity, -Infinity];
  eta.forEach((value, i) => {
    total += events[i * stride]!;
    low = Math.min(low, -value);
    high = Math.max(high, -value);
  });
  [low, high] = [low - FAR, high + FAR];
  for (let k = 0; k < HALVINGS; k++) {
    const middle = (low + high) / 2;
    let expected = 0;
    eta.forEach((value, i) => (expected += people(i) / (1 + Math.exp(-value - middle))));
    if (expected > total) high = middle;
    else low = middle;
  }
  return (low + high) / 2;
}
