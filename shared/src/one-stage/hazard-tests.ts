import type { Scaling } from '../models/blocks.ts';
import { timeVarying } from '../models/cox-time-varying.ts';
import { proportionalHazardsTest } from '../models/proportional-hazards.ts';
import { fitStageOne } from '../models/stage-one.ts';
import type { StudyData } from '../models/types.ts';
import { chiSquareUpper } from '../numerics/distributions.ts';
import { emptyEvaluation } from '../numerics/newton.ts';
import { pack } from './maximise.ts';
import type { Ask, FittedTest, OneStageSpec } from './types.ts';

/** Numbers of a study's own tests: a statistic and degrees of freedom of each term, and of all. */
export const testsLength = ({ groups }: OneStageSpec): number => 2 * (groups.length + 1);

/**
 * The study's part of the score test of proportional hazards at β̂: value, score and Hessian in (β, γ), γ = 0, where the log
 * hazard ratio of every column changes as γ·g(t).
 */
export function proportionalHazardsScore(
  spec: OneStageSpec,
  data: StudyData,
  scaling: Scaling,
  { theta }: Ask,
): Float64Array {
  const columns = [...data.columns.keys()];
  const objective = timeVarying(data, spec.options, scaling, {
    columns,
    transform: spec.inference.proportionalHazards!,
    cuts: [],
  });
  const at = new Float64Array(objective.parameters);
  at.set(theta.subarray(0, columns.length));
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(at, 2, out);
  return pack(out);
}

/** A statistic that a study does not have; every one that it has is positive. */
const NO_STATISTIC = -1;

/** The study's own test, at its own estimates: statistic and degrees of freedom of each term and of all of them. */
export function ownProportionalHazards(spec: OneStageSpec, data: StudyData): number[] {
  const none = [...spec.groups, null].flatMap(() => [NO_STATISTIC, 0]);
  const fit = fitStageOne(data, spec.options, spec.treatment);
  if (fit.status !== 'fitted') return none;
  const kept = [...data.columns.keys()].filter((j) => fit.estimable[j] === true);
  const own: StudyData = {
    ...data,
    columns: kept.map((j) => data.columns[j]!),
    terms: kept.map((j) => data.terms[j]!),
  };
  const objective = timeVarying(own, spec.options, null, {
    columns: [...kept.keys()],
    transform: spec.inference.proportionalHazards!,
    cuts: [],
  });
  const at = new Float64Array(objective.parameters);
  at.set(fit.estimates);
  const out = emptyEvaluation(objective.parameters);
  objective.evaluate(at, 2, out);
  const groups = spec.groups.map(({ term, columns }) => ({
    term,
    columns: columns.flatMap((j) => (kept.includes(j) ? [kept.indexOf(j)] : [])),
  }));
  return proportionalHazardsTest(out, kept.length, groups).flatMap(({ statistic, df }) => [
    statistic ?? NO_STATISTIC,
    df,
  ]);
}

/** A study's own tests, as it told them at the end of its effects. */
export function ownTests(
  spec: OneStageSpec,
  values: Float64Array,
  study: number,
  transform: string,
): FittedTest[] {
  if (values.length === 0) return [];
  const own = values.subarray(values.length - testsLength(spec));
  return [...spec.groups.map(({ term }) => term), 'global'].map((term, k) => {
    const [told, df] = [own[2 * k]!, own[2 * k + 1]!];
    const statistic = told === NO_STATISTIC ? null : told;
    return {
      study,
      test: `proportional hazards, ${transform} of time`,
      term,
      statistic,
      df,
      p: statistic === null ? null : chiSquareUpper(statistic, df),
    };
  });
}
