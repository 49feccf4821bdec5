import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import {
  comparedEffects,
  differences,
  explanations,
  questions,
  shifts,
  widens,
  type Difference,
  type Question,
} from './comparison.ts';
import { count, fixed, levelPercent, significant } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { list } from './method-phrases.ts';
import { decimalsOf, estimateText, intervalText } from './phrases.ts';
import { cell, head, rowHead, table } from './table.ts';
import { effectName, inSentence, readMeasure, termLabel } from './terms.ts';
import { includedStudies, type AnalysisView } from './view.ts';

/** `two-stage, random effects (REML)`; `one-stage, random treatment effect, stratified intercepts`. */
function approach({ approach: name, pool, model, family }: Analysis): string {
  if (name === 'two-stage')
    return pool.tau2 === 'FE' ? 'Two-stage, common effect' : `Two-stage, random effects (${pool.tau2})`;
  const effect = model.treatmentEffect === 'random' ? 'random effect' : 'common effect';
  const own = family === 'cox' ? `${model.baseline} baseline` : `${model.intercept} intercepts`;
  return `One-stage, ${effect}, ${own}`;
}

function comparisonTable({ twoStage, oneStage }: Question, plan: ExpandedPlan): Markup {
  const views: readonly AnalysisView[] = [...twoStage, ...oneStage];
  const { planned } = twoStage[0]!;
  const measure = readMeasure(twoStage[0]!.outcome.measure);
  const rows = views.map((view) => ({ view, effects: comparedEffects(view) }));
  const terms = [...new Set(rows.flatMap(({ effects }) => effects.map(({ term }) => term)))];
  const levels = [...new Set(views.map((view) => levelPercent(view.planned.pool.level)))];
  return table(
    `One stage and two stages: ${list(views.map((view) => view.planned.id))}`,
    [
      head('Effect', 'text'),
      head('Analysis', 'text'),
      head(measure.isRatio ? 'Estimate (ratio)' : 'Estimate'),
      head(`${levels.join(' or ')} CI`),
      ...(measure.isRatio ? [head('Logarithm')] : []),
      head('SE'),
      head('Studies'),
    ],
    terms.flatMap((term) => {
      const own = rows.flatMap(({ view, effects }) => {
        const effect = effects.find((entry) => entry.term === term);
        return effect === undefined ? [] : [{ view, effect }];
      });
      return own.map(({ view, effect }, i) => {
        const decimals = decimalsOf(effect, measure.isRatio);
        const label = `${effectName(term, planned, measure)}, ${inSentence(termLabel(term, planned, plan))}`;
        return markup`<tr class="${i === 0 ? 'first' : 'next'}">${[
          ...(i === 0 ? [rowHead(label, term, own.length)] : []),
          markup`<td class="text">${view.planned.id}<br><span class="notes">${approach(view.planned)}${
            effect.atMean ? ', at the modifier’s mean' : null
          }</span></td>`,
          cell(estimateText(effect.estimate, decimals, measure.isRatio)),
          cell(intervalText(effect.ci, decimals, measure.isRatio)),
          ...(measure.isRatio ? [cell(fixed(effect.estimate, 4))] : []),
          cell(significant(effect.se, 4)),
          cell(count(includedStudies(view.outcome).length)),
        ]}</tr>`;
      });
    }),
  );
}

function differencePhrase({ term, shift, width }: Difference, planned: Analysis, plan: ExpandedPlan): string {
  const direction = shift < 0 ? 'lower' : 'higher';
  const label = inSentence(termLabel(term, planned, plan));
  return `${label}: estimate ${fixed(Math.abs(shift), 2)} two-stage standard errors ${direction}, interval ${fixed(width, 2)} times as wide`;
}

/** The first two-stage analysis against each in one stage: how far they are apart, and why. */
function readings({ twoStage, oneStage }: Question, plan: ExpandedPlan): Markup[] {
  const two = twoStage[0]!;
  return oneStage.map((one) => {
    const found = differences(two, one);
    const names = markup`<strong>${one.planned.id}</strong> against <strong>${two.planned.id}</strong>`;
    if (found.length === 0) return markup`<p>${names}: no effect that both estimate.</p>`;
    const apart = found.filter((difference) => shifts(difference) || widens(difference));
    if (apart.length === 0) {
      const most = Math.max(...found.map(({ shift }) => Math.abs(shift)));
      return markup`<p>${names}: they agree. Estimates are within ${fixed(most, 2)} two-stage standard errors of each other, and intervals within 10% of the same width.</p>`;
    }
    const why = explanations(two, one, found, plan);
    return markup`<p>${names}: ${apart.map((difference, i) => `${i === 0 ? '' : '; '}${differencePhrase(difference, two.planned, plan)}`)}.</p>${
      why.length === 0
        ? markup`<p>Both have the same studies and the same assumptions by name: two stages take estimates as normal with known variances, one stage uses the likelihood of the records.</p>`
        : markup`<p>What can make them differ here:</p><ul>${why.map((text) => markup`<li>${text}</li>`)}</ul>`
    }`;
  });
}

/** A section for the questions of a plan that are answered in one stage and in two; null where there is none. */
export function comparisonSection(views: readonly AnalysisView[], plan: ExpandedPlan): Markup | null {
  const found = questions(views);
  if (found.length === 0) return null;
  return markup`<section aria-labelledby="comparison"><h2 id="comparison">One stage and two stages side by side</h2><p>Analyses of the same effect: same outcome, family, covariates and effect modifier. Differences of more than a tenth of the two-stage standard error, or of the interval’s width, are explained.</p>${found.map(
    (question) => markup`${comparisonTable(question, plan)}${readings(question, plan)}`,
  )}</section>`;
}
