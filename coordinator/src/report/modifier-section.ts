import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';
import type { Figure } from './figures.ts';
import { figureList } from './figure-list.ts';
import { fixed, levelPercent, NONE } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { criticalValue, jointEstimate, modifierGroups } from './modifier-effects.ts';
import { groupSubgroups, subgroupDefinition } from './modifier-figures.ts';
import { decimalsOf, estimateText, intervalText } from './phrases.ts';
import { cell, head, rowHead, table } from './table.ts';
import { estimateTable, type Estimated } from './tables.ts';
import { capitalise, readMeasure, termLabel } from './terms.ts';
import type { AnalysisView } from './view.ts';

/** Effect modification: how to read it, the interactions, their figures, and the subgroups of a factor. */
export function modifierSection(
  terms: readonly Estimated[],
  view: AnalysisView,
  plan: ExpandedPlan,
  drawn: readonly Figure[],
): Markup | null {
  const { planned, outcome } = view;
  const modifier = planned.effectModifier;
  if (modifier === null) return null;
  const sentence = modifier.separate
    ? 'Read the within-trial row: it compares participants of the same trial, so randomisation protects it. The across-trial row compares trials with one another, which differ in more than this covariate (ecological bias). Where the two disagree, do not average them.'
    : 'This is one merged term. It mixes comparisons within trials, which randomisation protects, with comparisons between trials, which it does not (ecological bias).';
  return markup`<h3>Effect modification by ${modifier.variable}</h3><p>${sentence}</p>${estimateTable(
    `Interaction of treatment with ${modifier.variable}${modifier.form === 'linear' ? ', per unit' : ''}`,
    terms,
    outcome,
    planned,
    plan,
  )}${figureList(drawn)}${subgroupTables(view, plan)}`;
}

/** Floating subgroup effects with both kinds of interval. */
function subgroupTables(view: AnalysisView, plan: ExpandedPlan): (Markup | null)[] {
  const { planned, outcome } = view;
  const joint = planned.effectModifier?.form === 'factor' ? jointEstimate(outcome, planned) : null;
  if (joint === null) return [];
  const { variable } = planned.effectModifier!;
  const measure = readMeasure(outcome.measure);
  const level = levelPercent(planned.pool.level);
  const z = criticalValue(joint, planned.pool.level);
  const groups = modifierGroups(planned);
  return groups.map((group) => {
    const found = groupSubgroups(view, joint, group, plan);
    if (found === null) return null;
    const interval = (estimate: number, se: number, decimals: number): string =>
      intervalText([estimate - z * se, estimate + z * se], decimals, measure.isRatio);
    return table(
      groups.length > 1
        ? `Treatment effect by ${variable}: ${termLabel(group.treatment, planned, plan)}`
        : `Treatment effect by ${variable}`,
      [
        head(variable, 'text'),
        head(capitalise(measure.name)),
        head(`${level} CI`),
        head('SE'),
        head('Floating SE'),
        head(`${level} floating interval`),
      ],
      found.levels.map(({ level: code, estimate, se, floatingSe }) => {
        const decimals = decimalsOf({ se: floatingSe ?? se }, measure.isRatio);
        return markup`<tr>${[
          rowHead(String(code)),
          cell(estimateText(estimate, decimals, measure.isRatio)),
          cell(interval(estimate, se, decimals)),
          cell(fixed(se, 4)),
          cell(fixed(floatingSe, 4)),
          cell(floatingSe === null ? NONE : interval(estimate, floatingSe, decimals)),
        ]}</tr>`;
      }),
      markup`<p class="notes">${subgroupDefinition(variable)} CI: of the effect in that subgroup. Floating: for comparing subgroups with each other. Standard errors are on the model’s scale.</p>`,
    );
  });
}
