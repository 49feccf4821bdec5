import { activeArms, adjustTerms, modifierTerm } from './columns.ts';
import type { FAMILIES, LINKS, WrittenAnalysis, WrittenOutcome, WrittenPlan } from './schema.ts';
import { oneOf } from './suggest.ts';

type Family = (typeof FAMILIES)[number];
type Link = (typeof LINKS)[number];
export type ModelKey = keyof WrittenAnalysis['model'];

interface FamilyRules {
  readonly outcomes: readonly WrittenOutcome['kind'][];
  /** The canonical link first; empty where the family has no link. */
  readonly links: readonly Link[];
  /** Options of the model that the family has, beyond those of all. */
  readonly options: readonly ModelKey[];
}

const generalised: readonly ModelKey[] = ['link', 'intercept', 'correlated', 'quadrature'];
const parametricSurvival: readonly ModelKey[] = ['baseline', 'intercept', 'correlated', 'quadrature'];

/** What each family may be combined with. */
export const FAMILY_RULES: Readonly<Record<Family, FamilyRules>> = {
  gaussian: {
    outcomes: ['continuous', 'repeated'],
    links: ['identity', 'log', 'inverse'],
    options: ['link', 'intercept', 'correlated', 'residual', 'estimation', 'covariance'],
  },
  binomial: {
    outcomes: ['binary'],
    links: ['logit', 'log', 'identity', 'probit', 'cloglog'],
    options: [...generalised, 'penalty'],
  },
  poisson: { outcomes: ['count'], links: ['log', 'identity', 'sqrt'], options: generalised },
  'negative-binomial': { outcomes: ['count'], links: ['log', 'identity', 'sqrt'], options: generalised },
  ordinal: {
    outcomes: ['ordinal'],
    links: ['logit', 'probit', 'cloglog'],
    options: [...generalised, 'thresholds'],
  },
  cox: {
    outcomes: ['time-to-event'],
    links: [],
    options: ['ties', 'strata', 'baseline', 'frailty', 'grid', 'quadrature', 'time_varying'],
  },
  weibull: { outcomes: ['time-to-event'], links: [], options: parametricSurvival },
  'piecewise-exponential': {
    outcomes: ['time-to-event'],
    links: [],
    options: [...parametricSurvival, 'cuts'],
  },
  'royston-parmar': { outcomes: ['time-to-event'], links: [], options: [...parametricSurvival, 'knots'] },
  rmst: { outcomes: ['time-to-event'], links: [], options: ['tau', 'contrast'] },
};

/** Options that only a one-stage analysis has. */
export const ONE_STAGE: readonly ModelKey[] = [
  'intercept',
  'treatment_effect',
  'correlated',
  'residual',
  'estimation',
  'quadrature',
  'thresholds',
  'baseline',
  'frailty',
  'grid',
  'penalty',
  'time_varying',
];
/** Options that every family has. */
export const EVERY_FAMILY: readonly ModelKey[] = ['family', 'adjust', 'offset', 'treatment_effect'];

/** Links that are computed, besides each family's canonical one. */
const OTHER_LINKS: Partial<Record<Family, readonly Link[]>> = {
  binomial: ['log', 'identity'],
  poisson: ['identity'],
};

/** Why this version cannot compute a valid analysis, and what to use instead; empty where it can. */
export function unsupportedReasons(
  analysis: WrittenAnalysis,
  { outcome, treatment }: Pick<WrittenPlan, 'outcome' | 'treatment'>,
): string[] {
  const { family, link, treatment_effect } = analysis.model;
  const oneStage = analysis.approach === 'one-stage';
  const reasons: string[] = [];
  const canonical = FAMILY_RULES[family].links[0];
  if (link !== undefined && link !== canonical) {
    const others = OTHER_LINKS[family] ?? [];
    if (!others.includes(link)) {
      reasons.push(
        `the link \`${link}\` is not computed by this version; use the canonical ${oneOf([canonical])}`,
      );
    } else if (!oneStage) {
      reasons.push(
        `the link \`${link}\` is computed in one stage only; use \`approach: one-stage\` or the canonical ${oneOf([canonical])}`,
      );
    }
  }
  if (treatment_effect === 'random' && treatment !== undefined && activeArms(treatment).length > 1) {
    reasons.push(
      'random effects of several active arms are not computed by this version; name one active arm, or use `treatment_effect: common`',
    );
  }
  if (
    oneStage &&
    outcome.kind === 'repeated' &&
    (treatment_effect === 'random' || analysis.model.intercept === 'random')
  ) {
    reasons.push(
      'random study effects beside a covariance between visits are not computed by this version; use `intercept: stratified` and `treatment_effect: common`, or `approach: two-stage`',
    );
  }
  if (family === 'cox' && analysis.model.baseline === 'shared') {
    if (analysis.model.grid === undefined)
      reasons.push(
        'a shared baseline needs the times that end its intervals; name them: `grid: [t1, t2, …]`',
      );
    if (analysis.model.frailty === undefined)
      reasons.push(
        'a shared baseline without a frailty of studies is not computed; write `frailty: gamma` or `gaussian`, or `baseline: stratified`',
      );
    const { strata, time_varying, frailty } = analysis.model;
    const { ci, likelihood_ratio } = analysis.inference ?? {};
    const beside = [
      ...(strata === undefined ? [] : ['`strata`']),
      ...(time_varying === undefined ? [] : ['`time_varying`']),
      ...(treatment_effect === 'random' ? ['`treatment_effect: random`'] : []),
      ...(ci === 'profile' ? ['`ci: profile`'] : []),
      ...(likelihood_ratio === true && frailty === 'gaussian'
        ? ['`likelihood_ratio` (of a gaussian frailty)']
        : []),
    ];
    if (beside.length > 0)
      reasons.push(
        `${beside.join(', ')} beside a shared baseline: not computed by this version; write \`baseline: stratified\`, or remove ${beside.length > 1 ? 'them' : 'it'}`,
      );
  }
  for (const variable of unnamedKnots(analysis)) {
    reasons.push(
      `knots at quantiles of \`${variable}\` would differ between studies; name them: \`rcs(${variable}, [k1, k2, k3])\``,
    );
  }
  return reasons;
}

/** Splines of an analysis whose knots are given by number only. */
const unnamedKnots = (analysis: WrittenAnalysis): string[] =>
  [...adjustTerms(analysis).flat(), ...modifierTerm(analysis)]
    .filter((factor) => factor.kind === 'rcs' && typeof factor.knots === 'number')
    .map((factor) => factor.variable);
