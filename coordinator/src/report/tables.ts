import type {
  AnalysisResult,
  Coefficient,
  Heterogeneity,
  PooledTerm,
  TwoStageResult,
} from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import {
  decimalsFor,
  degrees,
  fixed,
  levelPercent,
  NONE,
  percent,
  pStatement,
  pValue,
  significant,
} from './format.ts';
import { markup, type Markup } from './markup.ts';
import { decimalsOf, estimateText, intervalText } from './phrases.ts';
import { cell, head, rowHead, table } from './table.ts';
import { effectName, ownCoefficient, readMeasure, termKind, termLabel } from './terms.ts';

/** Three digits of the standard error; two where that would take more than three decimals. */
function modelDecimals(se: number): number {
  return Math.max(Math.min(decimalsFor(se, 3), 3), decimalsFor(se, 2));
}

function testText(term: Estimated): string {
  if (term.statistic === null) return NONE;
  const name = term.df === null ? 'z' : `t(${degrees(term.df)})`;
  return `${name} = ${fixed(term.statistic, 2)}`;
}

/** A pooled term, or a coefficient of one stage, which has no prediction interval. */
export type Estimated = Coefficient & Partial<Pick<PooledTerm, 'prediction'>>;

/** Terms on the model's scale and, for a ratio, first exponentiated: then a term has two rows. */
export function estimateTable(
  caption: string,
  terms: readonly Estimated[],
  outcome: AnalysisResult,
  planned: Analysis,
  plan: ExpandedPlan,
): Markup | null {
  if (terms.length === 0) return null;
  const measure = readMeasure(outcome.measure);
  const level = levelPercent(planned.pool.level);
  const hasPrediction = terms.some((term) => term.prediction != null);
  const numbers = (values: readonly (string | null)[]): Markup[] =>
    values.filter((value) => value !== null).map(cell);
  return table(
    caption,
    [
      head('Term', 'text'),
      head('Scale', 'text'),
      head('Estimate'),
      head('SE'),
      head(`${level} CI`),
      ...(hasPrediction ? [head(`${level} prediction interval`)] : []),
      head('Test'),
      head('p'),
    ],
    terms.map((term) => {
      const study = ownCoefficient(term.term, planned, outcome.studies);
      const base = study?.term ?? term.term;
      const effect = effectName(base, planned, measure);
      const isRatio = measure.isRatio && termKind(base, planned) !== 'parameter';
      const span = isRatio ? 2 : 1;
      const both = (value: string): Markup => markup`<td class="number" rowspan="${span}">${value}</td>`;
      const label = `${termLabel(base, planned, plan)}${study === null ? '' : `, ${study.study}`}`;
      const decimals = decimalsOf(term, true);
      const own = modelDecimals(term.se ?? 0.1);
      const ratios = numbers([
        estimateText(term.estimate, decimals, true),
        '',
        intervalText(term.ci, decimals, true),
        hasPrediction ? intervalText(term.prediction ?? null, decimals, true) : null,
      ]);
      const logarithms = numbers([
        fixed(term.estimate, own),
        fixed(term.se, own),
        intervalText(term.ci, own, false),
        hasPrediction ? intervalText(term.prediction ?? null, own, false) : null,
      ]);
      const test = [both(testText(term)), both(pValue(term.p))];
      const first = markup`<tr>${rowHead(label, term.term, span)}<td class="scale">${effect}</td>${
        isRatio ? ratios : logarithms
      }${test}</tr>`;
      return isRatio
        ? markup`${first}<tr class="second"><td class="scale">Logarithm</td>${logarithms}</tr>`
        : first;
    }),
  );
}

interface HeterogeneityRow {
  readonly label: string;
  readonly term: string;
  readonly heterogeneity: Heterogeneity;
}

/** τ², Q, I² and H² of each pooled term, with what they are under the table. */
export function heterogeneityTable(
  outcome: TwoStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
): Markup | null {
  const rows: HeterogeneityRow[] = outcome.separate.map(({ term, heterogeneity }) => ({
    label: termLabel(term, planned, plan),
    term,
    heterogeneity,
  }));
  const term = outcome.heterogeneity_term;
  if (term !== null && outcome.heterogeneity !== null && !rows.some((row) => row.term === term)) {
    rows.unshift({ label: termLabel(term, planned, plan), term, heterogeneity: outcome.heterogeneity });
  }
  if (rows.length === 0) return null;
  const level = levelPercent(planned.pool.level);
  const common = planned.pool.tau2 === 'FE';
  return table(
    rows.length > 1 ? 'Heterogeneity, each term pooled by itself' : 'Heterogeneity',
    [
      head('Term', 'text'),
      head('τ²'),
      head('SE of τ²'),
      head(`τ² ${level} CI`),
      head('τ'),
      head('Q (df)'),
      head('p of Q'),
      head('I²'),
      head('H²'),
    ],
    rows.map(({ label, term: name, heterogeneity: h }) => {
      const interval = h.tau2_ci;
      return markup`<tr>${[
        rowHead(label, name),
        cell(common ? '0, assumed' : significant(h.tau2, 4)),
        cell(significant(h.tau2_se, 4)),
        cell(interval === null ? NONE : `${significant(interval[0], 3)} to ${significant(interval[1], 3)}`),
        cell(h.tau2 === null || common ? NONE : significant(Math.sqrt(h.tau2), 3)),
        cell(h.q === null ? NONE : `${fixed(h.q, 2)} (${degrees(h.q_df)})`),
        cell(pValue(h.q_p)),
        cell(percent(h.i2)),
        cell(significant(h.h2, 3)),
      ]}</tr>`;
    }),
    markup`<p class="notes">τ²: variance of the true effects between studies, on the model’s scale; its interval is by the Q-profile method. Q: Cochran’s test of homogeneity, referred to χ². ${
      common
        ? 'I² = 100 × (Q − df)/Q and H² = Q/df, as for a common effect in metafor.'
        : 'I² = 100 × τ²/(τ² + s²) and H² = (τ² + s²)/s², with s² the typical within-study variance, as in metafor: they follow τ², not Q.'
    }</p>`,
  );
}

/** The between-study covariance of terms pooled jointly, as standard deviations and correlations. */
export function jointTable(outcome: TwoStageResult, planned: Analysis, plan: ExpandedPlan): Markup | null {
  const { joint } = outcome;
  if (joint === null || planned.pool.tau2 === 'FE') return null;
  return table(
    'Between-study covariance of the terms pooled jointly',
    [
      head('Term', 'text'),
      head('Variance'),
      head('SD'),
      ...joint.terms.map((term) => head(`Correlation with ${termLabel(term, planned, plan)}`)),
    ],
    joint.terms.map((term, i) => {
      const variance = joint.sigma[i]?.[i] ?? null;
      return markup`<tr>${[
        rowHead(termLabel(term, planned, plan), term),
        cell(significant(variance, 4)),
        cell(variance === null ? NONE : significant(Math.sqrt(variance), 3)),
        ...joint.terms.map((_, j) => cell(i === j ? '1' : fixed(joint.correlations[i]?.[j], 2))),
      ]}</tr>`;
    }),
    markup`<p class="notes">Q of all terms together: ${
      joint.q === null ? NONE : `${fixed(joint.q, 2)} on ${degrees(joint.q_df)} df, ${pStatement(joint.q_p)}`
    }; log-likelihood ${fixed(joint.log_likelihood, 3)}. A correlation with a variance of zero is not defined (${NONE}).</p>`,
  );
}
