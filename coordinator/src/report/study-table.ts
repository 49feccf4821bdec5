import type { AnalysisResult, StudyResult } from '@concordat/shared/plan/result-types.ts';
import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { count, decimalsFor, fixed, NONE } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { asSentence, remedyFor, STATUS_WORDS } from './reasons.ts';
import { cell, head, rowHead, table } from './table.ts';
import { termKind, termLabel } from './terms.ts';
import { armCell, arms, includedStudies } from './view.ts';

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

/** The word for the status, and for a study that is missing why and what to do. */
function statusText(study: StudyResult): Markup {
  const word = markup`<span class="status ${study.status}">${STATUS_WORDS[study.status]}</span>`;
  if (study.reason === undefined) return word;
  return markup`${word}. ${asSentence(study.reason.message)} ${remedyFor(study.reason)} <code>${study.reason.code}</code>`;
}

/** Decimals that suit the most precise study, so that a column's numbers line up. */
function columnDecimals(studies: readonly StudyResult[], term: string): number {
  const errors = studies.flatMap(
    ({ estimates }) => estimates?.find((entry) => entry.term === term)?.se ?? [],
  );
  return decimalsFor(errors.length === 0 ? 0.1 : Math.min(...errors), 2);
}

/** One row a study: counts, what was left out, its own estimates, its weight, or why it is missing. */
export function studyTable(outcome: AnalysisResult, planned: Analysis, plan: ExpandedPlan): Markup {
  const included = includedStudies(outcome);
  const columns = arms(plan);
  const { terms } = planned.pool;
  // In one stage a study has no estimates of its own.
  const twoStage = outcome.approach === 'two-stage';
  const shownTerms =
    included.length === 0 || !twoStage
      ? []
      : terms.map((term) => ({ term, decimals: columnDecimals(included, term) }));
  const hasWeights = included.some((study) => study.weight != null);
  const unit = hasEvents(plan) ? 'events/n' : 'n';
  const rows = outcome.studies.map((study) => {
    const first = [rowHead(study.study), ...columns.map((arm) => cell(armCell(study, arm, plan)))];
    if (study.status !== 'included') {
      const rest = 2 + shownTerms.length + (hasWeights ? 1 : 0);
      const rowsOut =
        (study.participants?.['left_out'] ?? 0) > 0 ? ` Rows left out: ${leftOut(study)}.` : null;
      return markup`<tr>${first}<td colspan="${rest}">${statusText(study)}${rowsOut}</td></tr>`;
    }
    const estimates = shownTerms.map(({ term, decimals }) => {
      const own = study.estimates?.find((entry) => entry.term === term);
      return cell(own === undefined ? NONE : `${fixed(own.estimate, decimals)} (${fixed(own.se, decimals)})`);
    });
    const weight = hasWeights ? cell(study.weight == null ? NONE : `${study.weight.toFixed(1)}%`) : null;
    return markup`<tr>${first}<td>${statusText(study)}</td><td class="text">${leftOut(study)}</td>${estimates}${weight}</tr>`;
  });
  const weighted = twoStage ? outcome.heterogeneity_term : null;
  const isNamed = terms.length > 1 || termKind(terms[0] ?? '', planned) !== 'treatment';
  const ofWeight =
    terms.length > 1 && hasWeights && weighted !== null
      ? ` * Weights of ${termLabel(weighted, planned, plan)}, pooled by itself.`
      : '';
  return table(
    'Studies',
    [
      head('Study', 'text'),
      ...columns.map((arm) => head(`${arm.head}, ${unit}`)),
      head('Status', 'text'),
      head('Rows left out', 'text'),
      ...shownTerms.map(({ term }) => head(`${isNamed ? termLabel(term, planned, plan) : 'Estimate'} (SE)`)),
      ...(hasWeights ? [head(ofWeight === '' ? 'Weight' : 'Weight *')] : []),
    ],
    rows,
    markup`<p class="notes">${twoStage ? `Estimates are on the model’s scale (${outcome.measure}). ` : null}Rows left out were incomplete for this analysis; rows outside the population or on another treatment are named, not counted among them. ${NONE}: not released by the site or not computed.${ofWeight}</p>`,
  );
}
