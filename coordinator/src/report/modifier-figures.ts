import type { Analysis, Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { curvePlot } from './curve.ts';
import { directionsOf } from './directions.ts';
import type { Drawing } from './drawing.ts';
import type { ForestInput } from './forest-layout.ts';
import { forestPlot } from './forest.ts';
import { fixed, levelPercent } from './format.ts';
import {
  criticalValue,
  effectCurve,
  jointEstimate,
  linearCombination,
  modifierGroups,
  modifierMeans,
  subgroups,
  type JointEstimate,
  type ModifierGroup,
  type Subgroups,
} from './modifier-effects.ts';
import { momentsOf, rangeOf, referenceDecimals } from './modifier-range.ts';
import { capitalise, effectName, inSentence, readMeasure, termLabel } from './terms.ts';
import { includedStudies, type AnalysisView } from './view.ts';

const POINTS = 121;

/** The figures of an analysis's effect modifier: a curve over a number, subgroups of a factor. */
export function modifierDrawings(
  view: AnalysisView,
  views: readonly AnalysisView[],
  plan: ExpandedPlan,
): Drawing[] {
  const { planned, outcome } = view;
  const modifier = planned.effectModifier;
  const joint = modifier === null || outcome.status !== 'done' ? null : jointEstimate(outcome, planned);
  if (modifier === null || joint === null) return [];
  return modifierGroups(planned).flatMap((group) => {
    const drawn =
      modifier.form === 'factor'
        ? subgroupDrawing(view, joint, group, plan)
        : curveDrawing(view, views, joint, group, plan);
    return drawn === null ? [] : [drawn];
  });
}

/** Floating subgroup effects of a group; null where the modifier is no factor, or its mix of levels is not known. */
export function groupSubgroups(
  { planned, outcome }: AnalysisView,
  joint: JointEstimate,
  group: ModifierGroup,
  plan: ExpandedPlan,
): Subgroups | null {
  const means = modifierMeans(outcome, group);
  const reference = referenceLevel(planned, plan);
  return means === null || reference === null || planned.effectModifier?.separate === false
    ? null
    : subgroups(joint, group, reference, means);
}

function referenceLevel({ effectModifier }: Analysis, plan: ExpandedPlan): Code | null {
  return effectModifier === null ? null : (plan.levels[effectModifier.variable]?.[0] ?? null);
}

function subgroupDrawing(
  view: AnalysisView,
  joint: JointEstimate,
  group: ModifierGroup,
  plan: ExpandedPlan,
): Drawing | null {
  const { planned, outcome } = view;
  const { variable } = planned.effectModifier!;
  const measure = readMeasure(outcome.measure);
  const level = levelPercent(planned.pool.level);
  const z = criticalValue(joint, planned.pool.level);
  const found = groupSubgroups(view, joint, group, plan);
  const label = inSentence(termLabel(group.treatment, planned, plan));
  const common = {
    rowsHead: variable,
    columns: [],
    unit: '',
    isRatio: measure.isRatio,
    level: planned.pool.level,
    z,
    noEffectLine: true,
  };
  const input: Omit<ForestInput, 'id'> | null =
    found === null
      ? relativeInput(view, joint, group, plan, common)
      : {
          ...common,
          title: `Subgroup effects of ${planned.id}: ${label} by ${variable}`,
          description: `Treatment effects at the ${found.levels.length} levels of ${variable}, whose differences are within-trial. The same numbers are in the table of subgroups.`,
          interval: found.error === null ? `${level} CI` : `${level} floating interval`,
          rows: found.levels.map(({ level: code, estimate, se, floatingSe }) => ({
            study: String(code),
            cells: [],
            estimate,
            se: floatingSe ?? se,
            weight: null,
            size: 1 / (floatingSe ?? se) ** 2,
            note: null,
          })),
          pooled: {
            label: 'Overall, at the mean mix of levels',
            estimate: found.overall.estimate,
            ci: [
              found.overall.estimate - z * found.overall.se,
              found.overall.estimate + z * found.overall.se,
            ],
            prediction: null,
          },
          effect: capitalise(measure.name),
          directions: directionsOf(group.treatment, planned, plan, measure),
          footnotes: [subgroupDefinition(variable), ...floatingNote(found, level)],
        };
  return input === null
    ? null
    : {
        suffix: 'subgroups',
        term: group.treatment,
        label: `Treatment effect by ${variable} in ${planned.id}, ${label}`,
        draw: (id) => forestPlot({ id, ...input }),
      };
}

export function subgroupDefinition(variable: string): string {
  return `Floating subgroup effects (Godolphin et al. 2023): the overall treatment effect at the studies’ mean mix of ${variable}, plus the within-trial interactions. No comparison between trials enters the differences between subgroups.`;
}

function floatingNote({ error }: Subgroups, level: string): string[] {
  if (error === null)
    return [`Intervals: ${level} CI of each effect; they do not show whether two subgroups differ.`];
  const exact = error < 5e-4 ? 'exact here' : `within ${(100 * error).toFixed(1)}% here`;
  return [
    `Intervals are by floating standard errors (Easton et al. 1991, Plummer 2004): the SE of the difference of any two subgroups is √(SE₁² + SE₂²), ${exact}. For one subgroup against no effect, use the CI in the table.`,
  ];
}

/** Where the mix of levels is not known: each level against the reference. */
function relativeInput(
  { planned, outcome }: AnalysisView,
  joint: JointEstimate,
  group: ModifierGroup,
  plan: ExpandedPlan,
  common: Pick<ForestInput, 'rowsHead' | 'columns' | 'unit' | 'isRatio' | 'level' | 'z' | 'noEffectLine'>,
): Omit<ForestInput, 'id'> | null {
  const reference = referenceLevel(planned, plan);
  const { variable, separate } = planned.effectModifier!;
  const rows = group.within.flatMap(({ term, basis }) => {
    const effect = linearCombination(joint, [[term, 1]]);
    return effect === null || basis.kind !== 'level'
      ? []
      : [
          {
            study: String(basis.level),
            cells: [],
            ...effect,
            weight: null,
            size: 1 / effect.se ** 2,
            note: null,
          },
        ];
  });
  if (rows.length === 0 || reference === null) return null;
  const effect = effectName(group.within[0]!.term, planned, readMeasure(outcome.measure));
  return {
    ...common,
    title: `Treatment effect of ${planned.id} by ${variable}, against level ${reference}`,
    description: `Interaction of treatment with each level of ${variable} but the reference ${reference}.`,
    rows,
    pooled: null,
    effect,
    directions: null,
    footnotes: [
      `Treatment effect at each level of ${variable}, relative to the effect at level ${reference} (the reference)${
        separate ? '; within-trial information alone' : '; within- and across-trial information merged'
      }.`,
    ],
  };
}

function curveDrawing(
  { planned, outcome }: AnalysisView,
  views: readonly AnalysisView[],
  joint: JointEstimate,
  group: ModifierGroup,
  plan: ExpandedPlan,
): Drawing | null {
  const { variable, form, separate } = planned.effectModifier!;
  const measure = readMeasure(outcome.measure);
  const first = group.within[0]!.basis;
  const knots = first.kind === 'rcs' ? first.knots : [];
  const view = { planned, outcome };
  const range = rangeOf(momentsOf(view, views), knots);
  const values = Array.from(
    { length: POINTS },
    (_, i) => range.from + ((range.to - range.from) * i) / (POINTS - 1),
  );
  const points = effectCurve(joint, group, range.reference, values);
  if (points === null || includedStudies(outcome).length === 0) return null;
  const z = criticalValue(joint, planned.pool.level);
  const level = levelPercent(planned.pool.level);
  const label = termLabel(group.treatment, planned, plan);
  const at = range.isDifference
    ? separate
      ? `a study’s mean ${variable}`
      : `the reference value of ${variable}`
    : `${variable} ${fixed(range.reference, referenceDecimals(range))}`;
  const which = separate ? 'within-trial interaction' : 'interaction, within and across trials merged';
  const band = `Band: pointwise ${level} confidence interval (Wald, ${
    joint.df === null ? 'normal' : 't'
  } quantile)${group.within.length > 1 ? ' from the joint covariance of the spline’s terms' : ''}; it has no width at the reference.`;
  return {
    suffix: 'modifier',
    term: group.treatment,
    label: `Treatment effect over ${variable} in ${planned.id}, ${inSentence(label)}`,
    draw: (id) =>
      curvePlot({
        id,
        title: `Treatment effect of ${planned.id} over ${variable}`,
        description: `${label}: effect over ${variable} relative to the effect at ${at}, by the ${which} (${
          form === 'linear' ? 'linear' : 'restricted cubic spline'
        }), with a pointwise ${level} confidence band.`,
        points: points.map(({ x, estimate, se }) => ({
          x,
          y: estimate,
          low: estimate - z * se,
          high: estimate + z * se,
        })),
        isRatio: measure.isRatio,
        effect: `${capitalise(measure.name)}, ${inSentence(label)}, ${measure.isRatio ? 'divided by' : 'less'} that at ${at}`,
        variable: range.isDifference ? `${variable}, difference from ${at}` : variable,
        knots,
        directions: [
          `${capitalise(measure.name)} lower than there`,
          `${capitalise(measure.name)} higher than there`,
        ],
        footnotes: [
          `${capitalise(which)}, ${form === 'linear' ? 'linear' : `restricted cubic spline with knots at ${knots.join(', ')}`}. ${band}`,
          ...(range.note === '' ? [] : [range.note]),
        ],
      }),
  };
}
