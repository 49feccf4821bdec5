import { ConcordatError } from '../errors.ts';
import { packedIndex, packedLength } from '../linalg/symmetric.ts';
import { riskSets } from './risk-sets.ts';
import type { DiagnosisCode, StageOneOutcome, StudyData } from './types.ts';

/** A restricted mean survival time and its variance, in units and squared units of time. */
export interface RestrictedMean {
  readonly mean: number;
  readonly variance: number;
}

/** A stage-one result without a likelihood. */
export type RmstOutcome =
  | (Omit<Extract<StageOneOutcome, { status: 'fitted' }>, 'logLikelihood'> & { readonly logLikelihood: null })
  | Extract<StageOneOutcome, { status: 'not-estimable' }>;

/**
 * Restricted mean survival time μ = ∫₀^τ S(t) dt, the area under the Kaplan–Meier curve up to τ > 0, and Greenwood's
 * variance Σ A_e² d_e/(n_e(n_e − d_e)) over the event times e ≤ τ, A_e = ∫_e^τ S(t) dt, with d_e events among n_e at risk
 * (Klein & Moeschberger 2003, eq. 4.5.2; survival::survfit's rmean). An event time at which all at risk have the event adds
 * nothing. Tied times are told as in survival::survfit. `entry`: at risk on (entry, time].
 */
export function rmst(
  time: Float64Array,
  event: Float64Array,
  tau: number,
  entry: Float64Array | null = null,
): RestrictedMean {
  const sets = riskSets({ kind: 'time-to-event', time, event, entry, stratum: null });
  const { times, groupStart, deaths, enteredStart, rows } = sets;
  const n = rows.length;
  const steps: { readonly at: number; readonly survival: number; readonly greenwood: number }[] = [];
  let survival = 1;
  for (let e = 0; e < times; e++) {
    const at = time[rows[groupStart[e]!]!]!;
    if (at > tau) break;
    const d = deaths[e]!;
    // Those last at risk at e or later, less those that enter after e.
    const atRisk = n - groupStart[e]! - (enteredStart === null ? 0 : n - enteredStart[e + 1]!);
    survival *= (atRisk - d) / atRisk;
    steps.push({ at, survival, greenwood: atRisk === d ? 0 : d / (atRisk * (atRisk - d)) });
  }
  let [area, variance, end] = [0, 0, tau];
  for (const step of steps.reverse()) {
    area += step.survival * (end - step.at);
    variance += area * area * step.greenwood;
    end = step.at;
  }
  return { mean: area + end, variance };
}

/**
 * Contrasts of restricted mean survival times to τ of each active arm with control, as a study's stage-one result: μ₁ − μ₀,
 * or log(μ₁/μ₀) with variances over μ² (delta method; Royston & Parmar 2013, BMC Med Res Methodol 13:152; Wei et al. 2015,
 * Stat Med 34:2881). `data.columns` are indicators of the active arms; control is where all are 0. There is no likelihood.
 *
 * Not estimable: a study without control or without active arm (`single-arm`), with an arm that is not followed to τ
 * (`short-follow-up`), or without an event before τ (`no-events`). An arm that the study does not have is not estimable.
 */
export function rmstStudy(data: StudyData, tau: number, contrast: 'difference' | 'ratio'): RmstOutcome {
  const { n, columns, response } = data;
  if (response.kind !== 'time-to-event')
    throw new ConcordatError(
      'numerics/invalid-input',
      'a restricted mean survival time needs times to an event',
    );
  if (!(tau > 0 && tau < Infinity))
    throw new ConcordatError('numerics/invalid-input', 'the time of restriction is not a positive number');
  if (n === 0) return refused('no-participants');
  const arm = armsOf(data);
  const followed = new Float64Array(columns.length + 1).fill(-Infinity);
  arm.forEach((a, i) => (followed[a] = Math.max(followed[a]!, response.time[i]!)));
  const present = columns.map((_, j) => followed[j + 1]! > -Infinity);
  const terms = [...columns.keys()].filter((j) => present[j] === true);
  if (followed[0] === -Infinity || terms.length === 0) return refused('single-arm', [...columns.keys()]);
  const short = terms.filter((j) => !(followed[j + 1]! >= tau));
  if (followed[0]! < tau || short.length > 0)
    return refused('short-follow-up', followed[0]! < tau ? terms : short);

  const means = [0, ...terms.map((j) => j + 1)].map((a) => {
    const own = [...arm.keys()].filter((i) => arm[i] === a);
    const take = (values: Float64Array): Float64Array => Float64Array.from(own, (i) => values[i]!);
    const { time, event, entry } = response;
    return rmst(take(time), take(event), tau, entry === null ? null : take(entry));
  });
  const scaled = (arms: RestrictedMean): RestrictedMean =>
    contrast === 'difference'
      ? arms
      : { mean: Math.log(arms.mean), variance: arms.variance / (arms.mean * arms.mean) };
  const [control, ...active] = means.map(scaled);
  const vcov = new Float64Array(packedLength(active.length)).fill(control!.variance);
  active.forEach(({ variance }, k) => (vcov[packedIndex(k, k)]! += variance));
  if (active.some((_, k) => !(vcov[packedIndex(k, k)]! > 0))) return refused('no-events');
  return {
    status: 'fitted',
    estimable: present,
    estimates: Float64Array.from(active, ({ mean }) => mean - control!.mean),
    vcov,
    logLikelihood: null,
    residualVariance: null,
    rounds: 0,
    badlyScaled: [],
  };
}

function refused(code: DiagnosisCode, terms: readonly number[] = []): RmstOutcome {
  return { status: 'not-estimable', diagnosis: { code, terms } };
}

/** Arm of each row: 0 control, j + 1 the arm of column j. */
function armsOf({ n, columns, terms }: StudyData): Int32Array {
  const arm = new Int32Array(n);
  columns.forEach((column, j) => {
    for (let i = 0; i < n; i++) {
      const x = column[i]!;
      if (x !== 0 && (x !== 1 || arm[i] !== 0)) {
        throw new ConcordatError(
          'numerics/invalid-input',
          'restricted mean survival times have no covariates',
          {
            place: terms[j] ?? `column ${j}`,
          },
        );
      }
      if (x === 1) arm[i] = j + 1;
    }
  });
  return arm;
}
