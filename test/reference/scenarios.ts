/** What one run of the command is asked, and which of R's models its analyses are held against. */
import type { WrittenAnalysis, WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { CiMethod, Tau2Method } from '@concordat/shared/plan/types.ts';

import type { PooledSetting, TermPairs } from './compare.ts';

export interface Model {
  /** Unique in its scenario; begins the ids of its analyses. */
  readonly name: string;
  readonly model: WrittenAnalysis['model'];
  readonly effect_modifier?: WrittenAnalysis['effect_modifier'];
  /** The term whose pooling is compared; it is pooled by itself unless `jointly`. */
  readonly term: string;
  /** Pool the plan's default terms jointly, and compare the entry of `separate`. */
  readonly jointly?: true;
  readonly settings: readonly PooledSetting[];
  /** R's first stage, and its names of our terms; terms that are parametrised otherwise are left out. */
  readonly stageOne?: string;
  readonly terms: TermPairs;
  /** R's second stage, and by default its estimates of the studies. */
  readonly stageTwo?: string;
  /** A second stage of R that has these studies' estimates, but others' too. */
  readonly estimates?: string;
  /** Codes of the reasons of the studies that give no estimate; R's must be the same studies. */
  readonly excluded?: Readonly<Record<string, string>>;
}

/** A multivariate second stage; its settings are FE, ML and REML. */
export interface JointModel {
  readonly name: string;
  readonly model: WrittenAnalysis['model'];
  readonly effect_modifier?: WrittenAnalysis['effect_modifier'];
  readonly pooled: readonly string[];
  readonly stageOne: string;
  readonly terms: TermPairs;
  readonly stageTwo: string;
  /** How near R's optimisers came to the maximum, relative; each departure from 1e-6 is explained where it is set. */
  readonly tolerance: { readonly estimate: number; readonly sigma: number };
}

/** A model that R fitted to all records at once, of which the plan makes one study. */
export interface WholeModel {
  readonly name: string;
  readonly model: WrittenAnalysis['model'];
  readonly pooled: string;
  readonly reference: string;
  /** Where the reference holds one fit for each handling of ties. */
  readonly part?: string;
  readonly terms: TermPairs;
  /** Relative tolerance of R's standard errors where glm() stopped too early for the family's. */
  readonly se?: number;
}

export interface Scenario {
  readonly name: string;
  readonly dataset: string;
  /** Writes the data folder. */
  readonly data: () => string | Promise<string>;
  /** Writes the folder of harmonisation maps. */
  readonly maps?: () => string;
  readonly plan: Omit<WrittenPlan, 'plan' | 'id' | 'analyses'>;
  readonly models?: readonly Model[];
  readonly joint?: readonly JointModel[];
  readonly whole?: readonly WholeModel[];
}

const TAU2: readonly Tau2Method[] = ['REML', 'FE', 'DL', 'ML', 'PM', 'EB', 'SJ', 'HE', 'HS'];
const CI: readonly CiMethod[] = ['normal', 'HKSJ', 'HKSJ-adhoc'];

/** Every estimator of tau2 with every interval. */
export const every: readonly PooledSetting[] = TAU2.flatMap((tau2) => CI.map((ci) => ({ tau2, ci })));

/** REML with every interval and the other estimators with one each, which `turn` moves on, where every setting would take long. */
export const most = (turn: number): readonly PooledSetting[] =>
  TAU2.flatMap((tau2, i) =>
    CI.filter((_, j) => tau2 === 'REML' || j === (i + turn) % CI.length).map((ci) => ({ tau2, ci })),
  );

export const one: readonly PooledSetting[] = [{ tau2: 'REML', ci: 'normal' }];

export const treatment = (variable: string) => ({ variable, control: 0, active: 1 });

/** R's names of the terms of `y ~ treat + …`. */
export const INTERCEPT_AND_TREATMENT: TermPairs = { '(intercept)': '(Intercept)', treatment: 'treat' };

/** R's `factor(study)` where the plan has `factor(country)`. */
export const indicators = (levels: readonly string[]): TermPairs =>
  Object.fromEntries(levels.slice(1).map((level) => [`factor(country)${level}`, `factor(study)${level}`]));

/** Restricted mean survival time to `tau`; R's first stage gives the arms' means, which its second stage has the differences of. */
export const rmst = (
  tag: string,
  tau: number,
  turn: number,
  excluded: Readonly<Record<string, string>> = {},
): Model => ({
  name: 'rmst',
  model: { family: 'rmst', tau },
  term: 'treatment',
  settings: most(turn),
  terms: {},
  stageTwo: `${tag}-stage2-rmst`,
  excluded,
});

interface InteractionOptions {
  /** Begins the analyses' ids. */
  readonly name: string;
  readonly model: WrittenAnalysis['model'];
  readonly variable: string;
  /** R's name of the treatment in `treat * x`, and further terms of the model that both name. */
  readonly terms: TermPairs;
  readonly stageOne: string;
  readonly stageTwo: string;
  readonly settings: readonly PooledSetting[];
  readonly excluded?: Readonly<Record<string, string>>;
}

/**
 * R fits `treat * x` with x as it is. Centring x within the study changes the intercept and the treatment effect only, so
 * those are compared in the analysis that does not centre, and everything else in all three.
 */
export function interaction({
  name,
  model,
  variable,
  terms,
  settings,
  ...reference
}: InteractionOptions): Model[] {
  const { '(intercept)': _, treatment: __, ...covariates } = terms;
  const centred = { ...covariates, [variable]: 'x', [`treatment:${variable}.within`]: 'treat:x' };
  const modifier = { variable, form: 'linear' as const };
  const within = {
    ...reference,
    model,
    effect_modifier: modifier,
    term: `treatment:${variable}.within`,
    terms: centred,
  };
  return [
    { ...within, name: `${name}.alone`, settings },
    { ...within, name: `${name}.joint`, jointly: true, settings: CI.map((ci) => ({ tau2: 'REML', ci })) },
    {
      ...reference,
      name: `${name}.merged`,
      model,
      effect_modifier: { ...modifier, separate: false },
      term: `treatment:${variable}`,
      terms: { ...terms, [variable]: 'x', [`treatment:${variable}`]: 'treat:x' },
      settings: one,
    },
  ];
}
