import { packedLength, pivotedRank } from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { original, standardise } from '../models/standardise.ts';
import type { ModelOptions, StudyData } from '../models/types.ts';
import { chiSquareQuantile, chiSquareUpper } from '../numerics/distributions.ts';
import { NOTHING_FITTED } from './failed.ts';
import { limit, solve, type Solution } from './firth-solve.ts';
import { firthStudy, packFirth } from './firth-study.ts';
import { commonPositions, effectsLength, readEffects } from './likelihood-study.ts';
import { originalScale } from './original-scale.ts';
import type {
  Ask,
  Entry,
  FittedTest,
  Gathered,
  OneStageModel,
  OneStageSpec,
  OneStageWarning,
  Program,
} from './types.ts';

/**
 * Firth's penalised logistic model with common effects over sites (see firth-study.ts): estimates, standard errors (of the
 * inverse information at the estimate) and ℓ* = ℓ + ½ log|I| are those of the pooled records with a column for every
 * study; studies without events, or without non-events, have finite estimates.
 *
 * A question is (β, V): V = S⁻¹ from the answers before, at first 0. An answer is Σ ℓᵢ + ½ log|I_αα,i|, the modified score of
 * β and Sᵢ: 1 + m + m(m+1)/2 numbers; a fit takes 5 to 9 of them, of sparse data 20. The log-likelihood of the result is
 * ℓ*, in the columns' own scale; likelihood ratios and profile intervals are of ℓ* with the penalty of all parameters
 * (Heinze & Schemper 2002, §2.3).
 */
export const firthModel: OneStageModel = { program, study };

/** Of a squared column length, what the columns before it leave: below, it is aliased. */
const ALIASED = 1e-11;

function* program(spec: OneStageSpec, entry: Entry): Program {
  const common = commonPositions(spec);
  const m = common.length;
  const { scale } = entry.scaling;
  const asking = function* <T>(
    questions: Generator<Float64Array, T, Float64Array>,
  ): Generator<Ask, T, Gathered> {
    let turn = questions.next();
    while (turn.done !== true) {
      const [sum] = yield {
        objective: 'firth-score',
        theta: turn.value,
        order: 2,
        length: 1 + m + packedLength(m),
        gather: 'sum',
      };
      turn = questions.next(sum!);
    }
    return turn.value;
  };
  const start = Float64Array.from(common, (j) => entry.start[j]!);
  const fit: Solution = yield* asking(solve(start, new Float64Array(packedLength(m)), []));
  let { rounds } = fit;
  if (fit.status !== 'converged') {
    const { dependent } = pivotedRank(fit.information, ALIASED);
    const terms = fit.status === 'singular' ? dependent.map((k) => spec.terms[common[k]!]!) : [];
    return {
      ...NOTHING_FITTED,
      failure: { code: fit.status === 'singular' ? 'rank-deficient' : 'not-converged', terms },
      rounds,
    };
  }

  const tested = common.flatMap((j, k) => (spec.tested.includes(j) ? [{ term: spec.terms[j]!, j, k }] : []));
  const tests: FittedTest[] = [];
  for (const { term, k } of spec.inference.likelihoodRatio ? tested : []) {
    const at = fit.beta.slice();
    at[k] = 0;
    const restricted: Solution = yield* asking(solve(at, fit.v, [k]));
    rounds += restricted.rounds;
    const statistic =
      restricted.status === 'converged' ? Math.max(0, 2 * (fit.value - restricted.value)) : null;
    const p = statistic === null ? null : chiSquareUpper(statistic, 1);
    tests.push({ test: 'likelihood ratio', term, statistic, df: 1, p });
  }
  const profiles = new Map<string, readonly [number, number] | null>();
  const warnings: OneStageWarning[] = [];
  const critical = chiSquareQuantile(spec.inference.level, 1);
  for (const { term, j, k } of spec.inference.ci === 'profile' ? tested : []) {
    const limits: number[] = [];
    for (const side of [-1, 1] as const) {
      const { at, rounds: more } = yield* asking(limit(fit, k, side, critical));
      rounds += more;
      if (at !== null) limits.push(at / scale[j]!);
    }
    profiles.set(term, limits.length === 2 ? [limits[0]!, limits[1]!] : null);
    if (limits.length < 2) warnings.push({ code: 'profile-limit', terms: [term] });
  }

  const gathered: Gathered =
    spec.stratified.length === 0
      ? []
      : yield {
          objective: 'study-effects',
          theta: Float64Array.of(...fit.beta, ...fit.v),
          order: 0,
          length: effectsLength(spec, m),
          gather: 'each',
        };
  const effects = gathered.map((values) => (values.length === 0 ? null : readEffects(spec, m, values)));
  const { coefficients, vcov } = originalScale(spec, entry.scaling, common, fit.beta, fit.v, effects);
  return {
    ...NOTHING_FITTED,
    coefficients: coefficients.map((coefficient) =>
      coefficient.study === undefined && profiles.has(coefficient.term)
        ? { ...coefficient, profile: profiles.get(coefficient.term)! }
        : coefficient,
    ),
    vcov,
    logLikelihood: fit.value + logScales(scale, common) + entry.studies * logScales(scale, spec.stratified),
    tests,
    rounds,
    gradientNorm: Math.hypot(...fit.score),
    warnings,
  };
}

/** ½ log of what the columns' scales contribute to |I|. */
function logScales(scale: Float64Array, columns: readonly number[]): number {
  return columns.reduce((sum, j) => sum + Math.log(scale[j]!), 0);
}

function study(spec: OneStageSpec, data: StudyData, scaling: Scaling): (ask: Ask) => Float64Array {
  const m = commonPositions(spec).length;
  const answers = firthStudy(data, spec.options, scaling, spec.stratified);
  return ({ objective, theta, length }) => {
    const answer = answers(theta.subarray(0, m), theta.subarray(m));
    if (objective !== 'study-effects') return packFirth(answer, m);
    const values = new Float64Array(length);
    if (answer === null) return values;
    let at = 0;
    const means = spec.treatment.map((_, arm) => data.treatmentMeans?.[arm] ?? 0);
    for (const part of [answer.own, answer.ownVariance, ...answer.slopes, means]) {
      values.set(part, at);
      at += part.length;
    }
    return values;
  };
}

/**
 * Firth's logistic fit of one study's data (a column of ones among its columns): p estimates, their covariance (packed)
 * from the inverse information at them, and ℓ* = ℓ + ½ log|I|. Null where columns are collinear.
 */
export function fitFirth(data: StudyData): {
  readonly estimates: Float64Array;
  readonly vcov: Float64Array;
  readonly penalisedLogLikelihood: number;
} | null {
  const options: ModelOptions = { family: 'binomial', ties: 'efron' };
  const scaling = standardise(data, false);
  const p = data.columns.length;
  const answers = firthStudy(data, options, scaling, []);
  const questions = solve(new Float64Array(p), new Float64Array(packedLength(p)), []);
  let turn = questions.next();
  while (turn.done !== true) {
    turn = questions.next(packFirth(answers(turn.value.subarray(0, p), turn.value.subarray(p)), p));
  }
  const { status, beta, v, value } = turn.value;
  if (status !== 'converged') return null;
  const scales = logScales(scaling.scale, [...data.columns.keys()]);
  return { ...original(beta, v, scaling, 1), penalisedLogLikelihood: value + scales };
}
