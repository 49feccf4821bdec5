import { adjustTerms, modifierTerm } from './columns.ts';
import type { FAMILIES, LINKS, WrittenAnalysis, WrittenOutcome } from './schema.ts';
import { oneOf } from './suggest.ts';
import type { FamilyName } from './types.ts';

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

/** What each family may be combined with. */
export const FAMILY_RULES: Readonly<Record<Family, FamilyRules>> = {
  gaussian: {
    outcomes: ['continuous', 'repeated'],
    links: ['identity', 'log', 'inverse'],
    options: ['link', 'intercept', 'correlated', 'residual', 'estimation'],
  },
  binomial: {
    outcomes: ['binary'],
    links: ['logit', 'log', 'identity', 'probit', 'cloglog'],
    options: generalised,
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
    options: ['ties', 'strata', 'baseline', 'frailty', 'quadrature'],
  },
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
];
/** Options that every family has. */
export const EVERY_FAMILY: readonly ModelKey[] = ['family', 'adjust', 'offset', 'treatment_effect'];

/**
 * The family that computes, or, where this version has none, the one whose estimates are on the same scale
 * (log rate ratios, log odds ratios), which then names the measure of an analysis that is not computed.
 */
const COMPUTED: Readonly<Record<Family, FamilyName>> = {
  gaussian: 'gaussian',
  binomial: 'binomial',
  poisson: 'poisson',
  'negative-binomial': 'poisson',
  ordinal: 'binomial',
  cox: 'cox',
};

export const computedFamily = (analysis: WrittenAnalysis): FamilyName => COMPUTED[analysis.model.family];

/** Why this version cannot compute a valid analysis, and what to use instead; empty where it can. */
export function unsupportedReasons(analysis: WrittenAnalysis, outcome: WrittenOutcome): string[] {
  const { family, link } = analysis.model;
  const reasons: string[] = [];
  if (analysis.approach === 'one-stage') {
    reasons.push('one-stage analyses are not computed by this version; use `approach: two-stage`');
  }
  if (family === 'negative-binomial') {
    reasons.push(
      'the negative-binomial family is not computed by this version; use `poisson`, which assumes no overdispersion',
    );
  }
  if (outcome.kind === 'ordinal') {
    reasons.push(
      'ordinal outcomes are not computed by this version; use a binary outcome at one cut of the scale',
    );
  }
  if (outcome.kind === 'repeated') {
    reasons.push('repeated outcomes are not computed by this version; use a continuous outcome at one visit');
  }
  const canonical = FAMILY_RULES[family].links[0];
  if (link !== undefined && link !== canonical) {
    reasons.push(
      `the link \`${link}\` is not computed by this version; use the canonical ${oneOf([canonical])}`,
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
