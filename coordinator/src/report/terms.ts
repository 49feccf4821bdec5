import type { Analysis, Code, DesignColumn, ExpandedPlan } from '@concordat/shared/plan/types.ts';

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

export type TermKind = 'intercept' | 'treatment' | 'within' | 'across' | 'contrast' | 'merged' | 'covariate';

/** What a pooled term is. Contrasts and across-trial terms are not columns: their names alone say it. */
export function termKind(term: string, analysis: Analysis): TermKind {
  if (term.includes(' - ')) return 'contrast';
  if (term.endsWith('.across')) return 'across';
  const column = analysis.columns.find((candidate) => candidate.term === term);
  if (column === undefined) return 'covariate';
  if (column.role === 'within') return analysis.effectModifier?.separate === false ? 'merged' : 'within';
  if (column.role === 'intercept') return 'intercept';
  return column.role === 'treatment' ? 'treatment' : 'covariate';
}

function armName(arm: Code, plan: ExpandedPlan): string {
  return (plan.treatment?.active.length ?? 0) > 1 ? `arm ${arm}` : 'active';
}

/** `age`, `sex 1 v 0`, `age (spline part 2)`: the modifier's column of an interaction. */
function modifierName(column: DesignColumn, plan: ExpandedPlan): string {
  return column.product
    .flatMap((basis) => {
      switch (basis.kind) {
        case 'linear':
          return [basis.variable];
        case 'level':
          return [`${basis.variable} ${basis.level} v ${plan.levels[basis.variable]?.[0] ?? 'reference'}`];
        case 'rcs':
          return [`${basis.variable} (spline part ${basis.index + 1})`];
        case 'intercept':
        case 'treatment':
          return [];
      }
    })
    .join(' × ');
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
  const base = kind === 'across' ? term.replace(/\.across$/, '.within') : term;
  const column = analysis.columns.find((candidate) => candidate.term === base);
  if (column === undefined) return term;
  const treatment = column.product.find((basis) => basis.kind === 'treatment');
  if (kind === 'treatment' && treatment !== undefined) {
    return capitalise(`${armName(treatment.arm, plan)} v control`);
  }
  if (kind === 'within' || kind === 'across' || kind === 'merged') {
    const arms = (plan.treatment?.active.length ?? 0) > 1 && treatment !== undefined;
    const first = arms ? `Treatment (arm ${treatment.arm})` : 'Treatment';
    const where = { within: ', within trials', across: ', across trials', merged: '' }[kind];
    return `${first} × ${modifierName(column, plan)}${where}`;
  }
  if (kind === 'intercept') return 'Intercept';
  return modifierName(column, plan) || term;
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

/**
 * What the pooled number is, for the head of a column: the measure itself for a treatment or a covariate, a ratio
 * of ratios (or a difference of differences) for an interaction or a difference of interactions, and the level
 * rather than the contrast for an intercept.
 */
export function effectName(term: string, analysis: Analysis, measure: Measure): string {
  if (isInteraction(term, analysis)) {
    if (!measure.isRatio) return `Difference in ${measure.name}`;
    return measure.name.endsWith('ratio') ? `Ratio of ${measure.name}s` : `Ratio (${measure.name})`;
  }
  return capitalise(measure.name);
}
