/** What R's scripts fit to binary outcomes, and the analyses that are held against it. */
import { oneFile, studiesOf, type Row } from './records.ts';
import {
  EXACT,
  GLM,
  GLMM,
  GLMM_DIFFERENCES,
  GLM_SPARSE,
  NON_CANONICAL,
  RANDOM_INTERCEPT,
  TMB,
  TREATMENT,
  intercepts,
  type Held,
  type OneStageCase,
  type OneStageScenario,
  type Tolerance,
} from './one-stage.ts';
import { treatment } from './scenarios.ts';

export const logit = { family: 'binomial' } as const;
export const bothRandom = { ...logit, intercept: 'random', treatment_effect: 'random' } as const;

interface Block {
  /** Begins R's ids. */
  readonly tag: string;
  readonly studies: readonly string[];
  /** Studies with both outcomes: the others have no finite intercept of their own. */
  readonly both?: readonly string[];
  /** R's fits that are there. */
  readonly identity?: boolean;
  readonly tmb?: boolean;
  /** Of grouped rows' log-likelihoods: the logarithms of the binomial coefficients. */
  readonly constant?: number;
  readonly sparse?: boolean;
  /**
   * The treatment effect does not vary, whether the treatment is coded 0/1 or centred within study: by maximum likelihood two
   * models, which are then the same.
   */
  readonly constantEffect?: boolean;
  /** The random effects' correlation is ±1, where glmmTMB's parameter for it runs away. */
  readonly perfect?: boolean;
  /** Some fitted risks are 1: R's glm() ends there, without the warning that it is a boundary. */
  readonly certain?: boolean;
}

const TMB_RUNAWAY: Tolerance = { ...TMB, se: 1e-3, variance: 1e-3 };

/** What R's scripts fit to every binary outcome. */
export function binaryCases(block: Block): OneStageCase[] {
  const {
    tag,
    studies,
    both = studies,
    identity = true,
    tmb = true,
    constant = 0,
    sparse = false,
    perfect = false,
  } = block;
  const held = (id: string, tolerance: Tolerance): Held => ({ id: `${tag}-${id}`, tolerance, constant });
  const fixed = { ...intercepts(both), ...TREATMENT };
  const uncentred = (...ids: string[]): string[] => (block.constantEffect === true ? ids : []);
  const mixed = (
    name: string,
    model: OneStageCase['model'],
    ids: readonly string[],
    terms = RANDOM_INTERCEPT,
  ): OneStageCase => ({
    name,
    model,
    terms,
    against: ids.flatMap((id) => {
      if (id.startsWith('tmb'))
        return tmb ? [held(id, perfect && id.endsWith('corr') ? TMB_RUNAWAY : TMB)] : [];
      return [held(id, sparse ? GLMM_DIFFERENCES : GLMM)];
    }),
  });
  const link = (name: 'log' | 'identity', id: string): OneStageCase => ({
    name,
    model: { ...logit, link: name },
    terms: fixed,
    against: [held(id, NON_CANONICAL)],
  });
  return [
    {
      name: 'fixed',
      model: logit,
      terms: fixed,
      against: [held('glm-logit-fixed', sparse ? GLM_SPARSE : GLM)],
    },
    {
      ...link('log', 'glm-logbinomial-fixed'),
      ...(block.certain === true ? { fails: 'link-boundary' } : {}),
    },
    ...(identity ? [link('identity', 'glm-identity-fixed')] : []),
    {
      name: 'firth',
      model: { ...logit, penalty: 'firth' },
      terms: { ...intercepts(studies), ...TREATMENT },
      against: [held('firth-fixed', EXACT)],
    },
    mixed('ri', { ...logit, intercept: 'random' }, ['glmer-ri-agq1', 'tmb-ri']),
    mixed('ri.9', { ...logit, intercept: 'random', quadrature: 9 }, ['glmer-ri-agq9']),
    mixed(
      'rs',
      { ...logit, treatment_effect: 'random' },
      ['glmer-strat-rs-centred-agq1', ...uncentred('glmer-strat-rs-agq1', 'tmb-strat-rs')],
      fixed,
    ),
    mixed(
      'rs.9',
      { ...logit, treatment_effect: 'random', quadrature: 9 },
      ['glmer-strat-rs-centred-agq9', ...uncentred('glmer-strat-rs-agq9')],
      fixed,
    ),
    mixed('ris', bothRandom, ['glmer-ris-corr', 'tmb-ris-corr']),
    mixed('ris.independent', { ...bothRandom, correlated: false }, ['glmer-ris-indep']),
  ];
}

/**
 * The across-study term is nearly the treatment itself, so that the reference's differences lose digits of the covariances;
 * ours are those of glm(), which a variance of zero makes the same model.
 */
const ILL_CONDITIONED: Tolerance = { ...GLMM, se: 1e-3 };

interface Interaction {
  readonly tag: string;
  readonly variable: string;
  readonly studies: readonly string[];
}

/** What R's scripts fit to a covariate's interaction, within and across studies. */
export function interactionCases({ tag, variable, studies }: Interaction): OneStageCase[] {
  const held = (id: string): Held[] => [{ id: `${tag}-onestage-${id}`, tolerance: GLM }];
  const parts = {
    ...intercepts(studies),
    ...TREATMENT,
    [`treatment:${variable}.within`]: 'treat:xw',
    [`treatment:${variable}.across`]: 'treat:xm',
  };
  const slopes = Object.fromEntries(
    studies.map((study) => [`stratified(${variable})[${study}]`, `factor(study)${study}:xw`]),
  );
  return [
    {
      name: `${variable}.common`,
      model: logit,
      effect_modifier: { variable },
      terms: { ...parts, [variable]: 'xw' },
      against: held('within-common'),
    },
    {
      // Without variation, whether the treatment is coded 0/1, as R's, or centred.
      name: `${variable}.rs`,
      model: { ...logit, treatment_effect: 'random' },
      effect_modifier: { variable },
      terms: { ...parts, [variable]: 'xw' },
      against: [{ id: `${tag}-onestage-glmer`, tolerance: ILL_CONDITIONED }],
    },
    {
      name: `${variable}.stratified`,
      model: { ...logit, adjust: [`stratified(${variable})`] },
      effect_modifier: { variable },
      terms: { ...parts, ...slopes },
      against: held('within-across'),
    },
    {
      name: `${variable}.merged`,
      model: logit,
      effect_modifier: { variable, separate: false },
      terms: { ...intercepts(studies), ...TREATMENT, [variable]: 'x', [`treatment:${variable}`]: 'treat:x' },
      against: held('naive'),
    },
  ];
}

/** A binary outcome as a count, of sums by study and arm: log risk ratios, with R's model-based standard errors. */
export function modifiedPoisson(
  dataset: string,
  tag: string,
  rows: readonly Row[],
  arm: string,
  outcome: string,
  size?: string,
): OneStageScenario {
  const known = rows.filter((row) => row[outcome] !== '' && row[arm] !== '');
  const cells = Object.values(Object.groupBy(known, (row) => `${row['study']} ${row[arm]}`)).map(
    (cell): Row => {
      const sum = (name: string | undefined): number =>
        name === undefined ? cell!.length : cell!.reduce((total, row) => total + Number(row[name]), 0);
      return {
        study: cell![0]!['study']!,
        treat: cell![0]![arm]!,
        events: String(sum(outcome)),
        people: String(sum(size)),
      };
    },
  );
  // Of a sum y of m Bernoulli outcomes: y log m − log y!
  const constant = cells.reduce((sum, { events, people }) => {
    const y = Number(events);
    return sum + y * Math.log(Number(people)) - logFactorial(y);
  }, 0);
  const withEvents = studiesOf(cells.filter(({ events }) => events !== '0'));
  return {
    name: `${tag}, modified Poisson`,
    dataset,
    data: () => oneFile(cells),
    plan: {
      treatment: treatment('treat'),
      outcome: { kind: 'count', variable: 'events', exposure: 'people' },
    },
    cases: [
      {
        name: 'fixed',
        model: { family: 'poisson' },
        terms: { ...intercepts(withEvents), ...TREATMENT },
        against: [{ id: `${tag}-glm-poisson-fixed`, tolerance: GLM_SPARSE, constant }],
      },
    ],
  };
}

const logFactorial = (n: number): number =>
  Array.from({ length: n }, (_, i) => Math.log(i + 1)).reduce((a, b) => a + b, 0);
export const logChoose = (n: number, k: number): number =>
  logFactorial(n) - logFactorial(k) - logFactorial(n - k);
