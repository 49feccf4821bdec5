import { activeArms, analysisFactors, designColumns, type Levels } from './columns.ts';
import { DEFAULT_INFERENCE, DEFAULT_MODEL } from './defaults.ts';
import { parseExpression } from './expression.ts';
import { unsupportedReasons } from './families.ts';
import { expandOutcome } from './outcome.ts';
import type { WrittenAnalysis, WrittenPlan } from './schema.ts';
import { oneOf } from './suggest.ts';
import type { Analysis, Code, DesignColumn, ExpandedPlan, ModelSettings } from './types.ts';

/** Factors of computable analyses whose levels the plan does not declare: the sites are asked for them first. */
export function undeclaredFactors(plan: WrittenPlan): string[] {
  const computed = plan.analyses.filter((analysis) => unsupportedReasons(analysis, plan).length === 0);
  const factors = new Set(computed.flatMap(analysisFactors));
  return [...factors].filter((variable) => !Object.hasOwn(plan.levels ?? {}, variable));
}

/**
 * Fills in defaults and expands terms into design columns.
 *
 * `agreedLevels` holds the levels, reference first, of the factors that `undeclaredFactors` lists. Where it lacks one,
 * the result lists it as `undeclared` and the factor has no columns yet: enough to show the plan and to ask
 * the sites for levels, and not to be fitted.
 *
 * @param plan as `parsePlan` returned it
 */
export function expandPlan(plan: WrittenPlan, agreedLevels: Levels = {}): ExpandedPlan {
  const open = undeclaredFactors(plan);
  const agreed = open.filter((variable) => Object.hasOwn(agreedLevels, variable));
  const levels: Record<string, readonly Code[]> = { ...plan.levels };
  for (const variable of agreed) levels[variable] = agreedLevels[variable]!;
  const { treatment } = plan;
  return {
    id: plan.id,
    title: plan.title ?? plan.id,
    registration: plan.registration ?? null,
    studies: plan.studies ?? 'all',
    population: plan.population === undefined ? null : parseExpression(plan.population, 'population'),
    populationText: plan.population ?? null,
    treatment:
      treatment === undefined
        ? null
        : { variable: treatment.variable, control: treatment.control, active: activeArms(treatment) },
    outcome: expandOutcome(plan.outcome),
    levels,
    undeclared: open.filter((variable) => !agreed.includes(variable)),
    participants: plan.participants ?? 'per-analysis',
    minimumStudies: plan.minimum_studies ?? 1,
    timeLimit: plan.time_limit ?? 3600,
    approvalLimit: plan.approval_limit ?? 1_209_600,
    analyses: plan.analyses.map((analysis) => expandAnalysis(plan, analysis, levels)),
  };
}

function expandAnalysis(plan: WrittenPlan, analysis: WrittenAnalysis, levels: Levels): Analysis {
  const { model, pool = {}, inference = {}, effect_modifier: modifier } = analysis;
  const reasons = unsupportedReasons(analysis, plan);
  const columns = reasons.length === 0 ? designColumns(plan, analysis, levels) : [];
  const terms = pool.term === undefined ? defaultTerms(columns) : [pool.term].flat();
  if (reasons.length === 0) reasons.push(...levelReasons(analysis, columns, terms, levels));
  return {
    id: analysis.id,
    approach: analysis.approach,
    family: model.family,
    ties: model.ties ?? 'efron',
    strata: model.strata ?? [],
    offset: model.offset ?? null,
    columns: reasons.length === 0 ? columns : [],
    effectModifier:
      modifier === undefined
        ? null
        : {
            variable: modifier.variable,
            form: modifier.form ?? 'linear',
            separate: modifier.separate ?? true,
          },
    pool: {
      tau2: pool.tau2 ?? 'REML',
      ci: pool.ci ?? 'normal',
      level: pool.level ?? 0.95,
      prediction: pool.prediction ?? true,
      terms,
    },
    model: modelSettings(analysis),
    inference: {
      ci: inference.ci ?? DEFAULT_INFERENCE.ci,
      df: inference.df ?? DEFAULT_INFERENCE.df,
      likelihoodRatio: inference.likelihood_ratio ?? DEFAULT_INFERENCE.likelihoodRatio,
      proportionalHazards: inference.proportional_hazards ?? DEFAULT_INFERENCE.proportionalHazards,
    },
    unsupported: reasons.length === 0 ? null : reasons.join('; '),
  };
}

function modelSettings({ model }: WrittenAnalysis): ModelSettings {
  const { link, time_varying: varying } = model;
  const d = DEFAULT_MODEL;
  return {
    link: link === 'identity' || link === 'log' || link === 'logit' ? link : d.link,
    intercept: model.intercept ?? d.intercept,
    treatmentEffect: model.treatment_effect ?? d.treatmentEffect,
    correlated: model.correlated ?? d.correlated,
    residual: model.residual ?? d.residual,
    estimation: model.estimation ?? d.estimation,
    quadrature: model.quadrature ?? d.quadrature,
    thresholds: model.thresholds ?? d.thresholds,
    baseline: model.baseline ?? d.baseline,
    frailty: model.frailty ?? d.frailty,
    grid: model.grid ?? d.grid,
    penalty: model.penalty ?? d.penalty,
    covariance: model.covariance ?? d.covariance,
    cuts: model.cuts ?? d.cuts,
    knots: model.knots ?? d.knots,
    tau: model.tau ?? d.tau,
    contrast: model.contrast ?? d.contrast,
    timeVarying:
      varying === undefined ? d.timeVarying : { transform: varying.transform, cuts: varying.cuts ?? [] },
  };
}

/** The treatment's effects and their interactions with the modifier, pooled jointly. */
const defaultTerms = (columns: readonly DesignColumn[]): string[] =>
  columns
    .filter((column) => column.role === 'treatment' || column.role === 'within')
    .map((column) => column.term);

/** Why agreed levels leave an analysis without what it was to estimate. */
function levelReasons(
  analysis: WrittenAnalysis,
  columns: readonly DesignColumn[],
  terms: readonly string[],
  levels: Levels,
): string[] {
  const factors = analysisFactors(analysis);
  if (factors.some((variable) => !Object.hasOwn(levels, variable))) return [];
  const constant = factors.filter((variable) => levels[variable]!.length < 2);
  if (constant.length > 0) {
    return constant.map(
      (variable) =>
        `the studies hold fewer than two levels of \`${variable}\`; remove \`factor(${variable})\``,
    );
  }
  const names = columns.map((column) => column.term);
  return terms
    .filter((term) => !names.includes(term))
    .map((term) => `the studies hold no level that makes the term \`${term}\`; name one of ${oneOf(names)}`);
}
