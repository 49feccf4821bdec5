/** R's results, where they are beside the repository, and what `test/reference` takes from them. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SHARED = resolve(import.meta.dirname, '../../../shared');
export const DATA = join(SHARED, 'data');
const REFERENCE = join(SHARED, 'reference');
export const available = existsSync(REFERENCE);

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

type Models = Readonly<Record<string, { readonly result: unknown }>>;

const read = new Map<string, Models>();

/** The result of one of a data set's models. */
function result(dataset: string, id: string): unknown {
  let models = read.get(dataset);
  if (models === undefined) {
    models = (JSON.parse(readFileSync(join(REFERENCE, `${dataset}.json`), 'utf8')) as { models: Models })
      .models;
    read.set(dataset, models);
  }
  const model = models[id];
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

/** The studies of a first stage that R's script uses. */
export const estimableStudies = (dataset: string, id: string): string[] =>
  Object.entries(stageOne(dataset, id)).flatMap(([study, fit]) => (fit.estimable === false ? [] : [study]));
