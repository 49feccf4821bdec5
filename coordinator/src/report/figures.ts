import { normalQuantile } from '@concordat/shared/numerics/distributions.ts';
import type { PooledTerm, StudyResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { directionsOf } from './directions.ts';
import type { Drawing } from './drawing.ts';
import type { ForestInput, ForestRow } from './forest-layout.ts';
import { forestPlot } from './forest.ts';
import { levelPercent, plural } from './format.ts';
import { modifierDrawings } from './modifier-figures.ts';
import { estimateWithInterval, heterogeneityLine, modelPhrase, whyNotPooled } from './phrases.ts';
import { missingNote } from './reasons.ts';
import { studyEffectDrawings } from './study-effects.ts';
import { effectName, isSplinePart, readMeasure, termKind, termLabel } from './terms.ts';
import {
  analysisViews,
  armCell,
  arms,
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
  /** Name for those who do not see it. */
  readonly label: string;
  /** What the file's name ends with: `modifier`, `subgroups` and `study-effects` are figures of these. */
  readonly suffix: string;
  /** A whole SVG element, valid by itself and inside HTML. */
  readonly svg: string;
}

function safeName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_-]+/g, '-').replaceAll(/^-+|-+$/g, '') || 'analysis';
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
    directions: directionsOf(pooled.term, planned, plan, measure),
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
function forestDrawings(outcome: TwoStageResult, planned: Analysis, plan: ExpandedPlan): Drawing[] {
  if (includedStudies(outcome).length === 0) return [];
  return pooledTerms(outcome, planned).flatMap((pooled, index): Drawing[] =>
    isSplinePart(pooled.term, planned)
      ? []
      : [
          {
            suffix: index === 0 ? '' : pooled.term,
            term: pooled.term,
            label: `Forest plot of ${planned.id}, ${pooled.term}`,
            draw: (id) => forestPlot(forestInput(id, outcome, planned, pooled, plan)),
          },
        ],
  );
}

/** Forest plots of stage two, predicted study effects of one stage, and the effect over its modifier in both. */
export function figures(input: ReportInput): Figure[] {
  const made: Figure[] = [];
  const taken = new Set<string>();
  const views = analysisViews(input);
  for (const view of views) {
    const { planned, outcome } = view;
    const drawings = [
      ...(outcome.approach === 'two-stage'
        ? forestDrawings(outcome, planned, input.plan)
        : studyEffectDrawings(outcome, planned, input.plan)),
      ...modifierDrawings(view, views, input.plan),
    ];
    for (const { suffix, term, label, draw } of drawings) {
      const stem = suffix === '' ? safeName(planned.id) : `${safeName(planned.id)}-${safeName(suffix)}`;
      let name = stem;
      // Lower case: some file systems do not tell `A.svg` from `a.svg`.
      for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem}-${n}`;
      taken.add(name.toLowerCase());
      const svg = draw(`figure-${made.length + 1}`);
      made.push({ name: `${name}.svg`, analysis: planned.id, term, label, suffix, svg });
    }
  }
  return made;
}
