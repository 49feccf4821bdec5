/** R's results, where they are beside the repository, and what `test/reference` takes from them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SHARED = resolve(import.meta.dirname, '../../../shared');
export const DATA = join(SHARED, 'data');
const REFERENCE = join(SHARED, 'reference');
export const available = existsSync(REFERENCE);
export const DATASETS: readonly string[] = available
  ? readdirSync(REFERENCE).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []))
  : [];

interface Coefficient {
  readonly term: string;
  readonly estimate: number;
  readonly se: number;
}

/** A model that R fitted to one study, or to all of them at once. */
export interface Fit {
  readonly estimable?: boolean;
  readonly coefficients?: readonly Coefficient[];
  readonly vcov?: { readonly names: readonly string[]; readonly values: readonly (readonly number[])[] };
  readonly n?: number;
  readonly n1?: number;
  readonly n0?: number;
  readonly e1?: number;
  readonly e0?: number;
  readonly events1?: number;
  readonly events0?: number;
  readonly events?: number;
  readonly logLik?: number;
  readonly logLikNull?: number;
  readonly deviance?: number;
  readonly nullDeviance?: number;
  readonly rss?: number;
  readonly r2?: number;
}

interface Inference {
  readonly se: number;
  readonly t: number;
  readonly df: number;
  readonly p: number;
  readonly lower: number;
  readonly upper: number;
}

export interface MethodResult {
  readonly estimate: number;
  readonly se: number;
  readonly z: number;
  readonly p: number;
  readonly lower: number;
  readonly upper: number;
  readonly tau2: number;
  readonly seTau2: number | null;
  readonly I2: number;
  readonly H2: number;
  readonly Q: number;
  readonly Qdf: number;
  readonly Qp: number;
  readonly hksj: Inference;
  readonly hksjAdhoc: Inference;
  readonly prediction?: Readonly<
    Record<'normal' | 'hksjTKminus1', { readonly lower: number; readonly upper: number }>
  >;
}

export interface StageTwo {
  readonly studies: readonly string[];
  readonly yi: readonly number[];
  readonly sei: readonly number[];
  readonly methods: Readonly<Record<string, MethodResult>>;
  readonly qProfile: { readonly tau2: readonly [number, number] };
  readonly weightsPercent: Readonly<Record<string, readonly number[]>>;
}

interface JointFit {
  readonly coefficients: readonly (Coefficient & Record<'statistic' | 'p' | 'lower' | 'upper', number>)[];
  readonly G?: { readonly values: readonly (readonly number[])[] };
  readonly Q: number;
  readonly Qdf: number;
  readonly Qp: number;
  readonly logLik: number;
}

export interface JointStageTwo {
  readonly studies: readonly string[];
  /** Covariance matrix of each study's estimates. */
  readonly V: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly fits: Readonly<Record<'FE' | 'ML' | 'REML', JointFit>>;
}

/** A model that R fitted to all records, with the studies' indicators or random effects; what is there depends on the function. */
export interface OneStageReference extends Fit {
  /** By grouping factor, one entry for each block of random effects. */
  readonly varcomp?: Readonly<
    Record<string, { readonly names: readonly string[]; readonly cov: readonly (readonly number[])[] }>
  >;
  readonly randomCov?: { readonly names: readonly string[]; readonly values: readonly (readonly number[])[] };
  readonly sigma?: number;
  readonly df?: number;
  readonly residualSd?: readonly { readonly study: string; readonly sd: number }[];
  readonly visitSd?: { readonly names: readonly string[]; readonly sd: readonly number[] };
  /** Between visits: (1,2), (1,3), …, (2,3), … */
  readonly correlations?: readonly number[];
  readonly penalizedLogLik?: number;
  readonly boundary?: boolean;
  /** Size of a negative binomial distribution, of glm.nb and of glmmTMB (1 for other families); lmer's relative Cholesky factor. */
  readonly theta?: number | readonly number[];
  readonly dispersion?: number;
  /** Of a Cox model with frailties, whose variance is `theta`. */
  readonly frailty?: readonly number[];
  readonly integratedLogLik?: number | null;
  /** Of rma.glmm. */
  readonly QEwald?: number;
  /** Of the reference's own code for ordinal outcomes. */
  readonly treat?: number;
  readonly se?: number;
  readonly thresholds?: readonly number[];
  readonly studyEffects?: readonly { readonly study: string; readonly effect: number }[] | null;
  readonly tau2?: number;
  /** Of its code for Cox models with a random treatment effect. */
  readonly estimate?: number;
  readonly seFullHessian?: number;
  readonly seGivenTau?: number;
  readonly integratedLogPartialLik?: number;
}

type Models = Readonly<Record<string, { readonly result: unknown }>>;

const read = new Map<string, Models>();

/** Every model of a data set. */
export const modelIds = (dataset: string): string[] => Object.keys(modelsOf(dataset));

function modelsOf(dataset: string): Models {
  let models = read.get(dataset);
  if (models === undefined) {
    models = (JSON.parse(readFileSync(join(REFERENCE, `${dataset}.json`), 'utf8')) as { models: Models })
      .models;
    read.set(dataset, models);
  }
  return models;
}

/** The result of one of a data set's models. */
function result(dataset: string, id: string): unknown {
  const model = modelsOf(dataset)[id];
  if (model === undefined) throw new Error(`the reference of ${dataset} has no model ${id}`);
  return model.result;
}

export const stageOne = (dataset: string, id: string) => result(dataset, id) as Readonly<Record<string, Fit>>;
export const stageTwo = (dataset: string, id: string) => result(dataset, id) as StageTwo;
export const jointStageTwo = (dataset: string, id: string) => result(dataset, id) as JointStageTwo;

export function wholeFit(dataset: string, id: string, part?: string): Fit {
  const fit = result(dataset, id) as Fit & Readonly<Record<string, Fit>>;
  return part === undefined ? fit : fit[part]!;
}

export function oneStageFit(dataset: string, id: string, part?: string): OneStageReference {
  const fit = result(dataset, id) as OneStageReference & Readonly<Record<string, OneStageReference>>;
  return part === undefined ? fit : fit[part]!;
}

export interface Zph {
  /** Absent: over all studies. */
  readonly study?: string;
  readonly term: string;
  readonly chisq: number;
  readonly df: number;
  readonly p: number;
}

/** cox.zph() over all studies, by term; or of the treatment alone, also in each study. */
export function zphTests(dataset: string, id: string, transform: string): readonly Zph[] {
  type ByTransform = Readonly<Record<string, Omit<Zph, 'term'>>>;
  const found = result(dataset, id) as
    | Readonly<Record<string, readonly Zph[]>>
    | {
        readonly pooled: ByTransform;
        readonly perStudy: Readonly<Record<string, ByTransform & { estimable: boolean }>>;
      };
  if (!('pooled' in found && 'perStudy' in found)) return found[transform] as readonly Zph[];
  const { pooled, perStudy } = found as Extract<typeof found, { readonly pooled: ByTransform }>;
  const own = Object.entries(perStudy).flatMap(([study, tests]) =>
    tests.estimable ? [{ ...tests[transform]!, study, term: 'treat' }] : [],
  );
  return [{ ...pooled[transform]!, term: 'treat' }, ...own];
}

/** The studies of a first stage that R's script uses. */
export const estimableStudies = (dataset: string, id: string): string[] =>
  Object.entries(stageOne(dataset, id)).flatMap(([study, fit]) => (fit.estimable === false ? [] : [study]));
