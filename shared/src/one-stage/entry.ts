import { ConcordatError } from '../errors.ts';
import {
  cholesky,
  inverseFromCholesky,
  packedIndex,
  packedLength,
  solveCholesky,
} from '../linalg/symmetric.ts';
import type { Scaling } from '../models/blocks.ts';
import { startingThresholds } from '../models/ordinal.ts';
import { families } from '../models/registry.ts';
import { fitStageOne } from '../models/stage-one.ts';
import type { Diagnosis, DiagnosisCode, StageOneOutcome, StudyData } from '../models/types.ts';
import { commonPositions, study as studySide } from './likelihood-study.ts';
import { OUTSIDE, evaluationLength } from './maximise.ts';
import { levelOf } from './spec.ts';
import type { Entry, OneStageSpec } from './types.ts';

/** One site's entry: its columns' moments and, where it has one, its own fit without random effects. */
export interface StudyEntry {
  readonly participants: number;
  readonly means: Float64Array;
  /** Standard deviations. */
  readonly deviations: Float64Array;
  /** Length p; null where the study has no fit of its own, or keeps it. */
  readonly own: {
    readonly estimable: readonly boolean[];
    readonly estimates: Float64Array;
    /** Packed, over the estimable parameters. */
    readonly vcov: Float64Array;
  } | null;
}

export type SiteEntry =
  | {
      readonly status: 'taking-part';
      readonly entry: StudyEntry;
      /** Why the study has no fit of its own; null where it has one, or the model needs none. */
      readonly diagnosis: Diagnosis | null;
    }
  | { readonly status: 'excluded'; readonly code: DiagnosisCode };

/**
 * What a study brings into an analysis, or why it can bring nothing. Participants are counted as the design's rows, grouped
 * ones by their trials.
 */
export function siteEntry(spec: OneStageSpec, data: StudyData): SiteEntry {
  const code = cannotTakePart(spec, data) ?? (ownMaximum(spec, data) ? null : 'not-converged');
  if (code !== null) return { status: 'excluded', code };
  const moments = data.columns.map(momentsOf);
  const fit = data.response.kind === 'repeated' ? null : fitStageOne(data, spec.options, spec.treatment);
  return {
    status: 'taking-part',
    entry: {
      participants: participantsOf(data),
      means: Float64Array.from(moments, ({ mean }) => mean),
      deviations: Float64Array.from(moments, ({ sd }) => sd),
      own: fit?.status === 'fitted' ? ownFit(spec, fit, [...data.columns.keys()]) : ownBaseline(spec, data),
    },
    diagnosis: fit?.status === 'not-estimable' ? fit.diagnosis : null,
  };
}

/** A fit to some of the columns, and to all of the family's own parameters. What changes with time is in none. */
function ownFit(
  { terms, columns }: OneStageSpec,
  fit: Extract<StageOneOutcome, { status: 'fitted' }>,
  of: readonly number[],
): StudyEntry['own'] {
  const estimable = terms.map(() => false);
  fit.estimable.forEach((yes, k) => {
    const j = k < of.length ? of[k]! : columns + k - of.length;
    if (j < terms.length) estimable[j] = yes;
  });
  return { estimable, estimates: fit.estimates, vcov: fit.vcov };
}

/** The model without covariates: where the common baseline, intercept or thresholds may start if more cannot be fitted. */
function ownBaseline(spec: OneStageSpec, data: StudyData): StudyEntry['own'] {
  const { intercept, columns, terms, stratified, kind } = spec;
  const common = [...terms.keys()].some((j) => (j === intercept || j >= columns) && !stratified.includes(j));
  if (kind !== 'likelihood' || !common || spec.timeVarying !== null) return null;
  const of = intercept < 0 ? [] : [intercept];
  const alone = { ...data, columns: of.map((j) => data.columns[j]!), terms: of.map((j) => terms[j]!) };
  const fit = fitStageOne(alone, spec.options, []);
  return fit.status === 'fitted' ? ownFit(spec, fit, of) : null;
}

function participantsOf({ response, n }: StudyData): number {
  if (response.kind !== 'binary' || response.trials === null) return n;
  return response.trials.reduce((sum, trials) => sum + trials, 0);
}

/**
 * A study whose own intercept (or baseline) would be infinite holds no information on what is common: it is left out, as
 * in R, where its indicator would be infinite. Beside random intercepts, and under Firth's penalty, it takes part.
 */
function cannotTakePart(
  { kind, stratified, options, residual }: OneStageSpec,
  data: StudyData,
): DiagnosisCode | null {
  if (data.n === 0) return 'no-participants';
  // One participant has no variance of its own.
  if (kind === 'gaussian' && residual === 'stratified' && data.n === 1) return 'too-few-participants';
  if (kind !== 'likelihood' || stratified.length === 0) return null;
  const { response } = data;
  if (response.kind === 'ordinal')
    return response.level.every((level) => level === response.level[0]) ? 'no-variation' : null;
  const family = families[options.family];
  const events = family.events(response);
  if (events === null) return null;
  const trials = family.trials(response);
  let [sum, total] = [0, 0];
  events.forEach((count, i) => {
    sum += count;
    total += trials === null ? 1 : trials[i]!;
  });
  if (sum === 0) return 'no-events';
  return family.nonevents && sum === total ? 'all-events' : null;
}

/** Whether the study's own parameters have a maximum at all; a Weibull shape has none with a single event, say. */
function ownMaximum(spec: OneStageSpec, data: StudyData): boolean {
  if (spec.kind !== 'likelihood' || spec.stratified.length === 0) return true;
  const theta = Float64Array.from(commonPositions(spec), (j) => defaultStart(spec)[j]!);
  const scaling = {
    centre: new Float64Array(spec.columns),
    scale: new Float64Array(spec.columns).fill(1),
    intercept: spec.intercept,
  };
  const ask = studySide({ ...spec, random: [] }, data, scaling);
  const [value] = ask({
    objective: 'log-likelihood',
    theta,
    order: 0,
    length: evaluationLength(theta.length),
    gather: 'sum',
  });
  return value! > OUTSIDE;
}

function momentsOf(column: Float64Array): { readonly mean: number; readonly sd: number } {
  const origin = column[0] ?? 0;
  let sum = 0;
  for (let i = 0; i < column.length; i++) sum += column[i]! - origin;
  const mean = origin + sum / column.length;
  let squares = 0;
  for (let i = 0; i < column.length; i++) squares += (column[i]! - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / column.length) };
}

/** A random effect's standard deviation to start from where the studies' own fits do not tell. */
const DEFAULT_SD = 0.3;
/** The log-likelihood is even in the standard deviations: starting at 0 would be starting on a ridge. */
const LEAST_SD = 0.1;
/**
 * Starting values beyond it are a study's divergence, or a crafted question: e²⁰ in odds or hazard per standard deviation of a
 * covariate. An intercept, a log hazard and the like also hold the outcome's unit; where the outcome is linear in the
 * parameters, their answers are the same about any start.
 */
export function startBound({ kind, columns, intercept }: OneStageSpec, j: number): number {
  if (kind === 'gaussian') return Infinity;
  return j < columns && j !== intercept ? 20 : 50;
}

/**
 * Common centres and scales, and where the fit starts: the studies' own estimates weighted by their information, and the
 * moment estimate of the variance between them (DerSimonian & Laird). Centres and scales only choose the parameters in
 * which the fit is done; the result does not depend on them but for rounding.
 */
export function combineEntries(spec: OneStageSpec, entries: readonly StudyEntry[]): Entry {
  const scaling = commonScaling(spec, entries);
  const standardised = entries.map((entry) => standardise(spec, scaling, entry));
  const start = pooled(spec, standardised);
  const sd = Float64Array.from(spec.random, ({ direction }) => startingDeviation(direction, standardised));
  let n = 0;
  for (const { participants } of entries) n += participants;
  return { studies: entries.length, n, scaling, start, sd };
}

function commonScaling(spec: OneStageSpec, entries: readonly StudyEntry[]): Scaling {
  const centre = new Float64Array(spec.columns);
  const scale = new Float64Array(spec.columns).fill(1);
  // A shift of a column is absorbed by an intercept, by what stands in its place, or by a Cox model's baseline.
  const shifts =
    spec.kind === 'frailty' ||
    spec.options.family === 'cox' ||
    levelsMoved(spec).some((level) => level !== 0);
  for (let j = 0; j < spec.columns; j++) {
    if (j === spec.intercept || spec.treatment.includes(j)) continue;
    let [n, mean] = [0, 0];
    for (const entry of entries) {
      n += entry.participants;
      if (n > 0) mean += (entry.participants / n) * (entry.means[j]! - mean);
    }
    if (!shifts || spec.stratified.includes(j)) mean = 0;
    let squares = 0;
    for (const { participants, means, deviations } of entries)
      squares += (participants / Math.max(n, 1)) * (deviations[j]! ** 2 + (means[j]! - mean) ** 2);
    const size = Math.sqrt(squares);
    // Rounded to powers of two, so that standardising loses no bit of the records.
    if (size > 0 && Number.isFinite(size)) scale[j] = 2 ** Math.round(Math.log2(size));
    if (shifts) centre[j] = mean;
  }
  return { centre, scale, intercept: spec.intercept };
}

interface Standardised {
  readonly estimable: readonly boolean[];
  /** Length p; 0 where not estimable. */
  readonly estimates: Float64Array;
  /** Packed p(p+1)/2. */
  readonly vcov: Float64Array;
}

const levelsMoved = (spec: OneStageSpec): number[] => spec.terms.map((_, j) => levelOf(spec, j));

/** γⱼ = βⱼsⱼ, γ₀ = β₀ + Σ βⱼcⱼ, and so for what stands in an intercept's place. */
function standardise(
  spec: OneStageSpec,
  { centre, scale }: Scaling,
  { own }: StudyEntry,
): Standardised | null {
  if (own === null) return null;
  const { columns, terms } = spec;
  const p = terms.length;
  const position: number[] = [];
  own.estimable.forEach((yes, j) => yes && position.push(j));
  const estimates = new Float64Array(p);
  const vcov = new Float64Array(packedLength(p));
  const level = levelsMoved(spec);
  const row = (j: number): readonly (readonly [number, number])[] =>
    position.map((k, a) => [
      a,
      (k === j ? (k < columns ? scale[k]! : 1) : 0) +
        (level[j] !== 0 && k < columns ? level[j]! * centre[k]! : 0),
    ]);
  const rows = position.map(row);
  for (const [r, i] of position.entries()) {
    for (const [a, w] of rows[r]!) estimates[i]! += w * own.estimates[a]!;
    for (const [c, j] of position.entries()) {
      if (j > i) continue;
      let sum = 0;
      for (const [a, w] of rows[r]!)
        for (const [b, v] of rows[c]!) sum += w * v * own.vcov[packedIndex(a, b)]!;
      vcov[packedIndex(i, j)] = sum;
    }
  }
  return { estimable: own.estimable, estimates, vcov };
}

/** (Σ Iᵢ)⁻¹ Σ Iᵢγ̂ᵢ over the parameters that are not stratified. */
function pooled(spec: OneStageSpec, studies: readonly (Standardised | null)[]): Float64Array {
  const start = defaultStart(spec);
  const common = [...spec.terms.keys()].filter((j) => !spec.stratified.includes(j));
  const information = new Float64Array(packedLength(common.length));
  const score = new Float64Array(common.length);
  for (const study of studies) {
    if (study === null) continue;
    const own = common.flatMap((j, a) => (study.estimable[j] === true ? [{ j, a }] : []));
    const block = new Float64Array(packedLength(own.length));
    own.forEach(({ j }, r) =>
      own
        .slice(0, r + 1)
        .forEach(({ j: k }, c) => (block[packedIndex(r, c)] = study.vcov[packedIndex(j, k)]!)),
    );
    const inverse = inverseOf(block);
    if (inverse === null || own.some(({ j }) => Math.abs(study.estimates[j]!) > startBound(spec, j)))
      continue;
    own.forEach(({ a }, r) =>
      own.forEach(({ j: k, a: b }, c) => {
        if (c <= r) information[packedIndex(a, b)]! += inverse[packedIndex(r, c)]!;
        score[a]! += inverse[packedIndex(r, c)]! * study.estimates[k]!;
      }),
    );
  }
  const known = common.flatMap((_, a) => (information[packedIndex(a, a)]! > 0 ? [a] : []));
  const block = new Float64Array(packedLength(known.length));
  known.forEach((a, r) =>
    known.slice(0, r + 1).forEach((b, c) => (block[packedIndex(r, c)] = information[packedIndex(a, b)]!)),
  );
  try {
    const solution = solveCholesky(
      cholesky(block),
      Float64Array.from(known, (a) => score[a]!),
    );
    if (solution.every((value, a) => Math.abs(value) <= startBound(spec, common[known[a]!]!)))
      known.forEach((a, r) => (start[common[a]!] = solution[r]!));
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
  }
  return inOrder(spec, start)
    ? start
    : start.map((value, j) => (j < spec.columns ? value : defaultStart(spec)[j]!));
}

/** Where a parameter starts that no study estimates: inside the region where the log-likelihood exists. */
export function defaultStart({ options, terms, columns, intercept }: OneStageSpec): Float64Array {
  const start = new Float64Array(terms.length);
  const { family, link } = options;
  if (intercept >= 0 && link === 'log' && family === 'binomial') start[intercept] = -1;
  if (intercept >= 0 && link === 'identity') start[intercept] = family === 'binomial' ? 0.5 : 1;
  if (family === 'royston-parmar') start[columns + 1] = 1;
  if (family === 'ordinal') {
    const anchor = options.anchored === true ? 1 : 0;
    const levels = terms.length - columns + anchor + 1;
    const even = startingThresholds(new Float64Array(levels));
    for (let j = columns; j < terms.length; j++) start[j] = even[j - columns + anchor]! - anchor * even[0]!;
  }
  return start;
}

/** Thresholds that studies with different levels estimate need not be. */
function inOrder({ options, terms, columns, stratified }: OneStageSpec, start: Float64Array): boolean {
  if (options.family !== 'ordinal' || stratified.includes(columns)) return true;
  const lowest = options.anchored === true ? 0 : -Infinity;
  return start
    .subarray(columns, terms.length)
    .every((value, k, all) => value > (k === 0 ? lowest : all[k - 1]!));
}

function inverseOf(block: Float64Array): Float64Array | null {
  try {
    return inverseFromCholesky(cholesky(block));
  } catch (error) {
    if (error instanceof ConcordatError) return null;
    throw error;
  }
}

function startingDeviation(direction: Float64Array, studies: readonly (Standardised | null)[]): number {
  const j = direction.findIndex((value) => value !== 0);
  const own = studies.flatMap((study) =>
    study === null || study.estimable[j] !== true
      ? []
      : [{ y: study.estimates[j]!, v: study.vcov[packedIndex(j, j)]! }],
  );
  const usable = own.filter(({ y, v }) => v > 0 && Number.isFinite(y / v));
  if (usable.length < 2) return DEFAULT_SD;
  let [w1, w2, wy] = [0, 0, 0];
  for (const { y, v } of usable) {
    w1 += 1 / v;
    w2 += 1 / (v * v);
    wy += y / v;
  }
  const mean = wy / w1;
  const q = usable.reduce((sum, { y, v }) => sum + (y - mean) ** 2 / v, 0);
  const tau2 = (q - (usable.length - 1)) / (w1 - w2 / w1);
  return tau2 > LEAST_SD ** 2 && Number.isFinite(tau2) ? Math.sqrt(tau2) : LEAST_SD;
}
