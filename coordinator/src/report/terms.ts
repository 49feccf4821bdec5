import type { StudyResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, Basis, Code, DesignColumn, ExpandedPlan } from '@concordat/shared/plan/types.ts';

/** How an analysis's measure is named and printed. */
export interface Measure {
  /** `hazard ratio`, `mean difference`. */
  readonly name: string;
  readonly isRatio: boolean;
}

/** Measures on a logarithmic scale are shown exponentiated: `log odds ratio` as `odds ratio`. */
export function readMeasure(measure: string): Measure {
  const isRatio = measure.startsWith('log ');
  return { name: isRatio ? measure.slice(4) : measure, isRatio };
}

export function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export type TermKind =
  | 'intercept'
  | 'treatment'
  | 'within'
  | 'across'
  | 'contrast'
  | 'merged'
  | 'covariate'
  /** How the treatment's effect changes with time. */
  | 'time-varying'
  /** Of the family: a threshold, a log dispersion, a baseline's. */
  | 'parameter';

/** What a term is. Contrasts, across-trial terms of stage two and a family's own parameters are not columns: their names alone say it. */
export function termKind(term: string, analysis: Analysis): TermKind {
  if (term.includes(' - ')) return 'contrast';
  if (term === '(intercept)') return 'intercept';
  const column = analysis.columns.find((candidate) => candidate.term === term);
  if (column === undefined) {
    if (term.endsWith('.across')) return 'across';
    return treatmentOverTime(term, analysis) === undefined ? 'parameter' : 'time-varying';
  }
  if (column.role === 'within') return analysis.effectModifier?.separate === false ? 'merged' : 'within';
  if (column.role === 'across' || column.role === 'intercept') return column.role;
  return column.role === 'treatment' ? 'treatment' : 'covariate';
}

/** The treatment's column that a term is a product of, with a function of time. */
const treatmentOverTime = (term: string, { columns, model }: Analysis): DesignColumn | undefined =>
  model.timeVarying === null
    ? undefined
    : columns.find((column) => column.role === 'treatment' && term.startsWith(`${column.term}:`));

/** A coefficient's term without the study that it belongs to, and that study; null where all studies share it. */
export function ownCoefficient(
  term: string,
  analysis: Analysis,
  studies: readonly StudyResult[],
): { readonly term: string; readonly study: string } | null {
  if (!term.endsWith(']') || analysis.columns.some((column) => column.term === term)) return null;
  // The longest term: a study's name may end like another's, with brackets.
  const found = studies
    .filter(({ study }) => term.length > study.length + 2 && term.endsWith(`[${study}]`))
    .toSorted((a, b) => a.study.length - b.study.length)[0];
  return found === undefined ? null : { term: term.slice(0, -found.study.length - 2), study: found.study };
}

function armName(arm: Code, plan: ExpandedPlan): string {
  return (plan.treatment?.active.length ?? 0) > 1 ? `arm ${arm}` : 'active';
}

/** `age`, `sex 1 v 0`, `age (spline part 2)`: a column without intercept and treatment; a product is joined by ×. */
function modifierName(column: DesignColumn, plan: ExpandedPlan): string {
  const name = (basis: Basis): string[] => {
    switch (basis.kind) {
      case 'linear':
        return [basis.variable];
      case 'level':
        return [`${basis.variable} ${basis.level} v ${plan.levels[basis.variable]?.[0] ?? 'reference'}`];
      case 'rcs':
        return [`${basis.variable} (spline part ${basis.index + 1})`];
      case 'study-mean':
        return name(basis.of);
      case 'intercept':
      case 'treatment':
      case 'visit':
        return [];
    }
  };
  return column.product.flatMap(name).join(' × ');
}

/** `, visit 3` for a column of a repeated outcome. */
function visitName({ product }: DesignColumn): string {
  const basis = product.find(({ kind }) => kind === 'visit');
  return basis?.kind === 'visit' ? `, visit ${basis.visit}` : '';
}

/** A term in words: `Active v control`, `Treatment × age, within trials`; the term itself where nothing is clearer. */
export function termLabel(term: string, analysis: Analysis, plan: ExpandedPlan): string {
  const kind = termKind(term, analysis);
  if (kind === 'contrast') {
    const [first = '', second = ''] = term.split(' - ');
    if (first.endsWith('.within') && second.endsWith('.across')) {
      return `${termLabel(first, analysis, plan).replace(/, within trials$/, '')}, within minus across trials`;
    }
    return `${termLabel(first, analysis, plan)} minus ${termLabel(second, analysis, plan)}`;
  }
  const over = treatmentOverTime(term, analysis);
  if (kind === 'time-varying' && over !== undefined) return `Treatment × ${term.slice(over.term.length + 1)}`;
  const column =
    analysis.columns.find((candidate) => candidate.term === term) ??
    analysis.columns.find((candidate) => candidate.term === term.replace(/\.across$/, '.within'));
  if (column === undefined) return kind === 'intercept' ? 'Intercept' : term;
  const visit = visitName(column);
  const treatment = column.product.find((basis) => basis.kind === 'treatment');
  if (kind === 'treatment' && treatment !== undefined) {
    return `${capitalise(`${armName(treatment.arm, plan)} v control`)}${visit}`;
  }
  if (kind === 'within' || kind === 'across' || kind === 'merged') {
    const arms = (plan.treatment?.active.length ?? 0) > 1 && treatment !== undefined;
    const first = arms ? `Treatment (arm ${treatment.arm})` : 'Treatment';
    const where = { within: ', within trials', across: ', across trials', merged: '' }[kind];
    return `${first} × ${modifierName(column, plan)}${where}${visit}`;
  }
  if (kind === 'intercept') return `Intercept${visit}`;
  const name = modifierName(column, plan);
  return name === '' ? term : `${name}${visit}`;
}

/** True for within-trial, across-trial and merged interactions, and for differences between them. */
export function isInteraction(term: string, analysis: Analysis): boolean {
  const kind = termKind(term, analysis);
  if (kind === 'contrast') return isInteraction(term.split(' - ')[0] ?? '', analysis);
  return kind === 'within' || kind === 'across' || kind === 'merged';
}

/** A label within a sentence: our own first word in lower case, names of variables and codes as they are. */
export function inSentence(label: string): string {
  return label.replace(/^(Active|Arm|Treatment|Intercept)\b/, (word) => word.toLowerCase());
}

/** True where one coefficient has no meaning by itself: a part of a spline. */
export function isSplinePart(term: string, analysis: Analysis): boolean {
  const base = term.replace(/\.across$/, '.within');
  const column = analysis.columns.find((candidate) => candidate.term === base);
  return column?.product.some((basis) => basis.kind === 'rcs') ?? false;
}

/** `odds ratios`, `differences in restricted mean survival time`. */
function plural(measure: string): string {
  return /^(ratio|difference) (of|in) /.test(measure)
    ? measure.replace(/^(ratio|difference)/, '$1s')
    : `${measure}s`;
}

/**
 * What the number is, for the head of a column: the measure itself for a treatment or a covariate, a ratio of ratios
 * (or a difference of differences) for an interaction or a difference of interactions, the level rather than the
 * contrast for an intercept (odds, rate, mean), and no more than `Parameter` for what is a family's own.
 */
export function effectName(term: string, analysis: Analysis, measure: Measure): string {
  const kind = termKind(term, analysis);
  if (kind === 'parameter') return 'Parameter';
  if (kind === 'intercept') return capitalise(measure.name.replace(/ (ratio|difference)$/, ''));
  if (isInteraction(term, analysis) || kind === 'time-varying') {
    if (!measure.isRatio) return `Difference in ${measure.name}`;
    return /\bratio\b/.test(measure.name) ? `Ratio of ${plural(measure.name)}` : `Ratio (${measure.name})`;
  }
  return capitalise(measure.name);
}
