import type { Heterogeneity, PooledTerm, StudyResult, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { count, decimalsFor, degrees, fixed, levelPercent, NONE, percent, pValue, significant } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { decimalsOf, estimateText, intervalText } from './phrases.ts';
import { remedyFor, shortReason, STATUS_WORDS } from './reasons.ts';
import { effectName, readMeasure, termKind, termLabel } from './terms.ts';
import { armCell, arms, hasEvents, type ReportInput } from './view.ts';

/** A table that scrolls by itself where the screen is narrower than it is. */
function table(caption: string, head: readonly Markup[], body: readonly Markup[], notes: Markup | null = null): Markup {
  return markup`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table><caption>${caption}</caption><thead><tr>${[
    ...head,
  ]}</tr></thead><tbody>${[...body]}</tbody></table></div>${notes}`;
}

function head(text: string, kind: 'text' | 'number' = 'number'): Markup {
  return markup`<th scope="col" class="${kind}">${text}</th>`;
}

function cell(text: string): Markup {
  return markup`<td class="number">${text}</td>`;
}

function rowHead(label: string, term: string | null = null): Markup {
  const code = term === null || term === label ? null : markup`<br><code>${term}</code>`;
  return markup`<th scope="row">${label}${code}</th>`;
}

function testText(term: PooledTerm): string {
  if (term.statistic === null) return NONE;
  const name = term.df === null ? 'z' : `t(${degrees(term.df)})`;
  return `${name} = ${fixed(term.statistic, 2)}`;
}

function groupHead(text: string, columns: number): Markup {
  return markup`<th scope="colgroup" colspan="${columns}" class="group">${text}</th>`;
}

/** Pooled terms on the model's scale and, for a ratio, exponentiated. */
export function pooledTable(
  caption: string,
  terms: readonly PooledTerm[],
  outcome: TwoStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
): Markup {
  const measure = readMeasure(outcome.measure);
  const level = levelPercent(planned.pool.level);
  const hasPrediction = terms.some((term) => term.prediction !== null);
  const names = [...new Set(terms.map((term) => effectName(term.term, planned, measure)))].join('; ');
  const interval = [head(`${level} CI`), ...(hasPrediction ? [head(`${level} prediction interval`)] : [])];
  const span = interval.length + 1;
  return table(
    caption,
    [
      markup`<th scope="col" rowspan="2">Term</th>`,
      ...(measure.isRatio ? [groupHead(names, span)] : []),
      groupHead(measure.isRatio ? 'Logarithm' : names, span + 1),
      markup`<th scope="col" rowspan="2" class="number">Test</th><th scope="col" rowspan="2" class="number">p</th></tr><tr>`,
      ...(measure.isRatio ? [head('Estimate'), ...interval] : []),
      head('Estimate'),
      head('SE'),
      ...interval,
    ],
    terms.map((term) => {
      const decimals = decimalsOf(term, true);
      const own = decimalsFor(term.se ?? 0.1, 3);
      const columns = (show: readonly string[]): Markup[] =>
        (hasPrediction ? show : show.slice(0, -1)).map(cell);
      return markup`<tr>${[
        rowHead(termLabel(term.term, planned, plan), term.term),
        ...(measure.isRatio
          ? columns([
              estimateText(term.estimate, decimals, true),
              intervalText(term.ci, decimals, true),
              intervalText(term.prediction, decimals, true),
            ])
          : []),
        ...columns([
          fixed(term.estimate, own),
          fixed(term.se, own),
          intervalText(term.ci, own, false),
          intervalText(term.prediction, own, false),
        ]),
        cell(testText(term)),
        cell(pValue(term.p)),
      ]}</tr>`;
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
        cell(significant(h.tau2, 4)),
        cell(significant(h.tau2_se, 4)),
        cell(interval === null ? NONE : `${significant(interval[0], 3)} to ${significant(interval[1], 3)}`),
        cell(h.tau2 === null ? NONE : significant(Math.sqrt(h.tau2), 3)),
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

const LEFT_OUT_WORDS: Readonly<Record<string, string>> = {
  missing_outcome: 'outcome missing',
  missing_treatment: 'treatment missing',
  missing_covariate: 'covariate missing',
  not_in_population: 'outside the population',
  other_treatment: 'another treatment',
};

/** `3: outcome missing 2, covariate missing 1`, and who was never in the analysis by design. */
function leftOut(study: StudyResult): string {
  const sum = study.participants?.['left_out'];
  const reasons = Object.entries(study.left_out_by_reason ?? {})
    .filter(([, rows]) => rows > 0)
    .map(([reason, rows]) => `${LEFT_OUT_WORDS[reason] ?? reason} ${count(rows)}`);
  const total = sum === undefined ? NONE : count(sum);
  return reasons.length === 0 ? total : `${total} (${reasons.join(', ')})`;
}

/** One row a study: counts, what was left out, its own estimates, its weight, or why it is missing. */
export function studyTable(outcome: ReportInput['result']['analyses'][string], planned: Analysis, plan: ExpandedPlan): Markup {
  const columns = arms(plan);
  const terms = planned.pool.terms;
  const several = terms.length > 1;
  const hasWeights = outcome.studies.some((study) => study.weight != null);
  const estimates = outcome.studies.some((study) => study.estimates !== undefined);
  const unit = hasEvents(plan) ? 'events/n' : 'n';
  const rows = outcome.studies.map((study) => {
    const own = terms.map((term) => study.estimates?.find((entry) => entry.term === term));
    const shown = own.map((entry) => {
      if (entry === undefined) return NONE;
      const decimals = decimalsFor(entry.se, 3);
      return `${fixed(entry.estimate, decimals)} (${fixed(entry.se, decimals)})`;
    });
    return markup`<tr>${[
      rowHead(study.study),
      ...columns.map((arm) => cell(armCell(study, arm, plan))),
      markup`<td>${leftOut(study)}</td>`,
      ...(estimates ? shown.map(cell) : []),
      ...(hasWeights ? [cell(study.weight == null ? NONE : `${study.weight.toFixed(1)}%`)] : []),
      markup`<td>${statusCell(study)}</td>`,
    ]}</tr>`;
  });
  return table(
    'Studies',
    [
      head('Study', 'text'),
      ...columns.map((arm) => head(`${arm.head}, ${unit}`)),
      head('Rows left out', 'text'),
      ...(estimates
        ? terms.map((term) =>
            head(several || termKind(term, planned) !== 'treatment' ? `${termLabel(term, planned, plan)} (SE)` : 'Estimate (SE)'),
          )
        : []),
      ...(hasWeights ? [head('Weight')] : []),
      head('Status', 'text'),
    ],
    rows,
    markup`<p class="notes">Estimates are on the model’s scale (${outcome.measure}). Rows left out: incomplete for this analysis, with those outside the population or on another treatment named beside them. ${NONE}: not released by the site or not computed.</p>`,
  );
}

function statusCell(study: StudyResult): Markup {
  const word = markup`<span class="status ${study.status}">${STATUS_WORDS[study.status]}</span>`;
  if (study.reason === undefined) return word;
  const remedy = remedyFor(study.reason);
  return markup`${word}: ${shortReason(study.reason)}. ${remedy} <code>${study.reason.code}</code>`;
}
