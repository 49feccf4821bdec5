import { normalQuantile } from '@concordat/shared/numerics/distributions.ts';
import type { Coefficient, OneStageResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { count, degrees, fixed, levelPercent, NONE, plural, pValue, significant } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { decimalsOf, estimateText, intervalText } from './phrases.ts';
import { studyEffects } from './study-effects.ts';
import { cell, head, rowHead, table } from './table.ts';
import { estimateTable } from './tables.ts';
import { isInteraction, ownCoefficient, readMeasure, termLabel } from './terms.ts';
import { includedStudies } from './view.ts';

/** A part of the report that is folded until it is asked for. */
function folded(summary: string, body: Markup | null): Markup | null {
  return body === null ? null : markup`<details><summary>${summary}</summary>${body}</details>`;
}

/** Coefficients that studies share, but the interactions with the modifier; those of single studies are folded. */
export function coefficientTables(outcome: OneStageResult, planned: Analysis, plan: ExpandedPlan): Markup {
  const isOwn = ({ term }: Coefficient): boolean => ownCoefficient(term, planned, outcome.studies) !== null;
  const shared = outcome.coefficients.filter(
    (coefficient) => !isOwn(coefficient) && !isInteraction(coefficient.term, planned),
  );
  const own = outcome.coefficients.filter(isOwn);
  return markup`${estimateTable('Coefficients', shared, outcome, planned, plan)}${folded(
    `Coefficients of single studies (${count(own.length)})`,
    estimateTable('Coefficients of single studies', own, outcome, planned, plan),
  )}`;
}

/** Variances between studies, as standard deviations too, and correlations. */
export function randomEffectsTable(
  { random_effects: effects, correlations }: OneStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
): Markup | null {
  if (effects.length === 0) return null;
  const labels = effects.map(({ term }) => termLabel(term, planned, plan));
  const others = effects.length > 1;
  return table(
    'Variation between studies',
    [
      head('Random effect', 'text'),
      head('Variance'),
      head('SD'),
      ...(others ? labels.map((label) => head(`Correlation with ${label}`)) : []),
    ],
    effects.map(({ term, variance }, i) => {
      const row = effects.map((_, j) =>
        cell(i === j ? '1' : planned.model.correlated ? fixed(correlations[i]?.[j], 2) : '0, assumed'),
      );
      return markup`<tr>${[
        rowHead(labels[i] ?? term, term),
        cell(significant(variance, 4)),
        cell(variance === null ? NONE : significant(Math.sqrt(variance), 3)),
        ...(others ? row : []),
      ]}</tr>`;
    }),
    markup`<p class="notes">On the model’s scale, between studies.${
      others ? ` A correlation with a variance of zero is not defined (${NONE}).` : null
    }</p>`,
  );
}

export function residualTable({ residual_variance: residuals }: OneStageResult): Markup | null {
  if (residuals.length === 0) return null;
  const body = table(
    'Residual variance',
    [head('Study', 'text'), head('Variance'), head('SD')],
    residuals.map(
      ({ study, variance }) =>
        markup`<tr>${[
          rowHead(study ?? 'All studies'),
          cell(significant(variance, 4)),
          cell(variance === null ? NONE : significant(Math.sqrt(variance), 4)),
        ]}</tr>`,
    ),
  );
  return residuals.length > 8
    ? folded(`Residual variance of each study (${count(residuals.length)})`, body)
    : body;
}

/** Between the visits of a repeated outcome: standard deviations, covariances below and correlations above the diagonal. */
export function visitTable(
  { visit_covariance: covariance }: OneStageResult,
  plan: ExpandedPlan,
): Markup | null {
  const { outcome } = plan;
  if (covariance === undefined || outcome.kind !== 'repeated') return null;
  const entry = (i: number, j: number): string => {
    const value = covariance[i]?.[j];
    if (j <= i || value === undefined) return significant(value, 4);
    return fixed(value / Math.sqrt((covariance[i]?.[i] ?? 0) * (covariance[j]?.[j] ?? 0)), 2);
  };
  return table(
    'Covariance between visits',
    [
      head(`Visit (${outcome.visit})`, 'text'),
      ...outcome.visits.map((visit) => head(String(visit))),
      head('SD'),
    ],
    outcome.visits.map(
      (visit, i) =>
        markup`<tr>${[
          rowHead(String(visit)),
          ...outcome.visits.map((_, j) => cell(entry(i, j))),
          cell(significant(Math.sqrt(covariance[i]?.[i] ?? Number.NaN), 4)),
        ]}</tr>`,
    ),
    markup`<p class="notes">Within participants. Variances on the diagonal, covariances below it, correlations above it.</p>`,
  );
}

const TEST_NAMES: Readonly<Record<string, string>> = {
  'likelihood ratio': 'Likelihood ratio',
  'proportional hazards': 'Proportional hazards',
};

export function testsTable({ tests }: OneStageResult, planned: Analysis, plan: ExpandedPlan): Markup | null {
  if (tests.length === 0) return null;
  const hazards = tests.some(({ test }) => test === 'proportional hazards');
  return table(
    'Tests',
    [head('Test', 'text'), head('Term', 'text'), head('χ²'), head('df'), head('p')],
    tests.map(({ test, term, statistic, df, p }) => {
      const label = term === 'global' ? 'All terms' : termLabel(term, planned, plan);
      return markup`<tr>${[
        rowHead(TEST_NAMES[test] ?? test),
        markup`<td class="text">${label}${term === label || term === 'global' ? null : markup`<br><code>${term}</code>`}</td>`,
        cell(fixed(statistic, 2)),
        cell(degrees(df)),
        cell(pValue(p)),
      ]}</tr>`;
    }),
    hazards
      ? markup`<p class="notes">Proportional hazards: a small p speaks against a hazard ratio that is constant over time.</p>`
      : null,
  );
}

/** `7.7 kB`. */
function bytes(value: number): string {
  return value < 1000
    ? `${value} B`
    : value < 1e6
      ? `${significant(value / 1e3, 3)} kB`
      : `${significant(value / 1e6, 3)} MB`;
}

/** How the fit went, and what it cost. */
export function fitTable(outcome: OneStageResult): Markup | null {
  const { convergence, log_likelihood: logLikelihood } = outcome;
  if (convergence === null) return null;
  const { converged, rounds, gradient_norm: gradient, bytes_up: up, bytes_down: down } = convergence;
  const sites = Math.max(1, includedStudies(outcome).length);
  const each = (value: number): string => `${bytes(value)} (${bytes(Math.round(value / sites))} a site)`;
  const facts: [string, string][] = [
    ['Converged', converged ? 'yes' : 'no'],
    ['Log-likelihood', fixed(logLikelihood, 4)],
    ['Rounds', count(rounds)],
    ['Gradient norm at the end', significant(gradient, 2)],
    ['Sent by the sites', each(up)],
    ['Sent to the sites', each(down)],
  ];
  return table(
    'Fit',
    [head('Fact', 'text'), head('Value')],
    facts.map(([name, value]) => markup`<tr>${rowHead(name)}${cell(value)}</tr>`),
  );
}

/** Empirical Bayes predictions: each study's deviation, and its own treatment effect. */
export function predictedTable(
  outcome: OneStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
): Markup | null {
  if (outcome.predicted.length === 0) return null;
  const measure = readMeasure(outcome.measure);
  const terms = outcome.random_effects.map(({ term }) => term);
  const effects = terms.map((term) => studyEffects(outcome, planned, term));
  const shown = terms.flatMap((term, i) => (effects[i]!.length > 0 ? [{ term, own: effects[i]! }] : []));
  const studies = [...new Set(outcome.predicted.map(({ study }) => study))];
  const kept = includedStudies(outcome).length - studies.length;
  const level = levelPercent(planned.pool.level);
  const z = normalQuantile((1 + planned.pool.level) / 2);
  return folded(
    `Predicted study effects (${plural(studies.length, 'study', 'studies')})`,
    table(
      'Predicted study effects',
      [
        head('Study', 'text'),
        ...terms.map((term) => head(`${termLabel(term, planned, plan)}: deviation (SD)`)),
        ...shown.flatMap(({ term }) => [
          head(`${measure.name}, ${termLabel(term, planned, plan)}`),
          head(`${level} interval`),
        ]),
      ],
      studies.map((study) => {
        const deviations = terms.map((term) => {
          const own = outcome.predicted.find((entry) => entry.study === study && entry.term === term);
          return cell(own === undefined ? NONE : `${fixed(own.estimate, 3)} (${fixed(own.se, 3)})`);
        });
        const own = shown.flatMap(({ own: all }) => {
          const effect = all.find((entry) => entry.study.study === study);
          if (effect === undefined) return [cell(NONE), cell(NONE)];
          const decimals = decimalsOf(effect, measure.isRatio);
          const half = z * effect.se;
          return [
            cell(estimateText(effect.estimate, decimals, measure.isRatio)),
            cell(intervalText([effect.estimate - half, effect.estimate + half], decimals, measure.isRatio)),
          ];
        });
        return markup`<tr>${[rowHead(study), ...deviations, ...own]}</tr>`;
      }),
      markup`<p class="notes">Empirical Bayes: deviations from the average on the model’s scale, shrunk towards it, with their standard deviations given the data and the model’s parameters.${
        kept > 0 ? ` ${plural(kept, 'study', 'studies')} kept their own at the site.` : null
      }</p>`,
    ),
  );
}
