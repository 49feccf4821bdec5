import { normalQuantile } from '@concordat/shared/numerics/distributions.ts';
import type { PooledTerm, StudyResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import type { ForestInput, ForestRow } from './forest-layout.ts';
import { forestPlot } from './forest.ts';
import { levelPercent, plural } from './format.ts';
import { estimateWithInterval, heterogeneityLine, modelPhrase, whyNotPooled } from './phrases.ts';
import { missingNote } from './reasons.ts';
import {
  capitalise,
  effectName,
  inSentence,
  isSplinePart,
  readMeasure,
  termKind,
  termLabel,
} from './terms.ts';
import {
  analysisViews,
  armCell,
  arms,
  hasEvents,
  heterogeneityOf,
  includedStudies,
  pooledTerms,
  type ReportInput,
} from './view.ts';

export interface Figure {
  /** File name without a folder; `[A-Za-z0-9._-]` only. */
  readonly name: string;
  readonly analysis: string;
  readonly term: string;
  /** A whole SVG element, valid by itself and inside HTML. */
  readonly svg: string;
}

function safeName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_-]+/g, '-').replaceAll(/^-+|-+$/g, '') || 'analysis';
}

/** Words for the two sides of the line of no effect; the plan does not say which side is better. */
function directions(
  term: string,
  planned: Analysis,
  plan: ExpandedPlan,
  measure: string,
): readonly [string, string] | null {
  const column = planned.columns.find((candidate) => candidate.term === term);
  if (column === undefined || column.role === 'intercept') return null;
  const [less, more] = hasEvents(plan) ? ['Fewer events', 'More events'] : ['Lower', 'Higher'];
  const bases = column.product.filter((basis) => basis.kind === 'linear' || basis.kind === 'level');
  const covariate = bases
    .map((basis) =>
      basis.kind === 'level' ? `${basis.variable} ${basis.level}` : `higher ${basis.variable}`,
    )
    .join(' and ');
  if (column.role === 'treatment') {
    const active = inSentence(termLabel(term, planned, plan)).replace(/ v control$/, '');
    return [`${less} with ${active}`, `${more} with ${active}`];
  }
  if (column.role === 'within')
    return [`${measure} lower with ${covariate}`, `${measure} higher with ${covariate}`];
  return [`${less} with ${covariate}`, `${more} with ${covariate}`];
}

/** Area of a study's square: its weight, or what its weight would be were the term pooled by itself. */
function squareSize(se: number, weight: number | null, tau2: number | null): number {
  return weight ?? 1 / (se * se + (tau2 ?? 0));
}

function forestRow(
  study: StudyResult,
  pooled: PooledTerm,
  columns: ReturnType<typeof arms>,
  plan: ExpandedPlan,
  weighted: boolean,
  tau2: number | null,
): ForestRow {
  const cells = columns.map((arm) => armCell(study, arm, plan));
  const own =
    study.status === 'included' ? study.estimates?.find((entry) => entry.term === pooled.term) : undefined;
  if (own === undefined) {
    const note =
      study.status === 'included' ? 'This term is not estimable in this study' : missingNote(study);
    return { study: study.study, cells, estimate: null, se: null, weight: null, size: null, note };
  }
  const weight = weighted ? (study.weight ?? null) : null;
  const { estimate, se } = own;
  return { study: study.study, cells, estimate, se, weight, size: squareSize(se, weight, tau2), note: null };
}

function forestInput(
  id: string,
  outcome: TwoStageResult,
  planned: Analysis,
  pooled: PooledTerm,
  plan: ExpandedPlan,
): ForestInput {
  const measure = readMeasure(outcome.measure);
  const { pool } = planned;
  const kind = termKind(pooled.term, planned);
  const effect = effectName(pooled.term, planned, measure);
  const heterogeneity = heterogeneityOf(outcome, pooled.term);
  const together = pooledTerms(outcome, planned).length > 1;
  const arm = planned.columns
    .find((column) => column.term === pooled.term)
    ?.product.find((basis) => basis.kind === 'treatment')?.arm;
  const allArms = arms(plan);
  const columns =
    arm === undefined || allArms.length <= 2
      ? allArms
      : allArms.filter(({ key }) => key === String(arm) || key === 'control');
  const rows = outcome.studies
    .map((study) => forestRow(study, pooled, columns, plan, !together, heterogeneity?.tau2 ?? null))
    .toSorted((a, b) => Number(a.estimate === null) - Number(b.estimate === null));
  const drawn = rows.filter((row) => row.estimate !== null).length;
  const { estimate, ci } = pooled;
  const what = `${effect}, ${termLabel(pooled.term, planned, plan)}`;
  return {
    id,
    title: `Forest plot of ${planned.id}: ${what}`,
    description: `${plural(drawn, 'study', 'studies')} with an estimate, of ${outcome.studies.length}. Pooled: ${
      estimate === null ? 'not computed' : estimateWithInterval(pooled, measure.isRatio, pool.level)
    }. ${heterogeneityLine(heterogeneity, pool, drawn)}. The same numbers are in the table of studies.`,
    columns: columns.map(({ head }) => head),
    unit: hasEvents(plan) ? 'events/n' : 'n',
    rows,
    pooled:
      estimate === null || ci === null
        ? null
        : {
            label: pool.tau2 === 'FE' ? 'Pooled, common effect' : 'Pooled, random effects',
            estimate,
            ci,
            prediction: pooled.prediction,
          },
    effect,
    isRatio: measure.isRatio,
    level: pool.level,
    z: normalQuantile((1 + pool.level) / 2),
    noEffectLine: kind !== 'intercept',
    directions: directions(pooled.term, planned, plan, capitalise(measure.name)),
    footnotes: footnotes(outcome, planned, pooled, drawn, together),
  };
}

function footnotes(
  outcome: TwoStageResult,
  planned: Analysis,
  pooled: PooledTerm,
  drawn: number,
  together: boolean,
): string[] {
  const { pool } = planned;
  const ci =
    pool.ci === 'normal' || pooled.df === null
      ? `${levelPercent(pool.level)} CI by the normal distribution`
      : `${levelPercent(pool.level)} CI by ${pool.ci === 'HKSJ' ? 'HKSJ' : 'HKSJ, ad hoc'}`;
  const notes = [];
  if (pooled.estimate === null || pooled.ci === null) notes.push(`Pooled: ${whyNotPooled(outcome)}`);
  if (pool.tau2 !== 'FE' || drawn > 1) {
    const line = heterogeneityLine(heterogeneityOf(outcome, pooled.term), pool, drawn);
    notes.push(`${line}${together ? '; this term pooled by itself' : ''}.`);
  }
  const joint = outcome.joint === null ? '' : ', pooled jointly with the other terms';
  const squares = together ? 'inverse variance' : 'weight';
  notes.push(`${modelPhrase(pool)}${joint}; ${ci}. Area of squares: ${squares}.`);
  if (pool.prediction && pool.tau2 !== 'FE' && pooled.estimate !== null && pooled.prediction === null) {
    notes.push('Prediction interval: not computed, see the warnings.');
  }
  return notes;
}

/** One forest plot a pooled term; none for parts of a spline, whose coefficients mean nothing one at a time. */
export function figures(input: ReportInput): Figure[] {
  const made: Figure[] = [];
  const taken = new Set<string>();
  for (const { planned, outcome } of analysisViews(input)) {
    if (outcome.approach !== 'two-stage' || includedStudies(outcome).length === 0) continue;
    for (const [index, pooled] of pooledTerms(outcome, planned).entries()) {
      if (isSplinePart(pooled.term, planned)) continue;
      const stem = index === 0 ? safeName(planned.id) : `${safeName(planned.id)}-${safeName(pooled.term)}`;
      let name = stem;
      // Lower case: some file systems do not tell `A.svg` from `a.svg`.
      for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem}-${n}`;
      taken.add(name.toLowerCase());
      const svg = forestPlot(forestInput(`figure-${made.length + 1}`, outcome, planned, pooled, input.plan));
      made.push({ name: `${name}.svg`, analysis: planned.id, term: pooled.term, svg });
    }
  }
  return made;
}
