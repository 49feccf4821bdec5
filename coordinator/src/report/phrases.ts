import type { Coefficient, Heterogeneity, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import type { CiMethod, Pool, Tau2Method } from '@concordat/shared/plan/types.ts';
import { degrees, fixed, levelPercent, NONE, percent, pStatement, ratio, significant } from './format.ts';

/** Estimators of the between-study variance by their full names. */
export const TAU2_NAMES: Readonly<Record<Exclude<Tau2Method, 'FE'>, string>> = {
  DL: 'DerSimonian–Laird (DL)',
  REML: 'restricted maximum likelihood (REML)',
  ML: 'maximum likelihood (ML)',
  PM: 'Paule–Mandel (PM)',
  EB: 'empirical Bayes (EB)',
  SJ: 'Sidik–Jonkman (SJ)',
  HE: 'Hedges (HE)',
  HS: 'Hunter–Schmidt (HS)',
};

/** The pooled interval's method; `joint` where several terms share one scale factor (Jackson and Riley 2014). */
export function ciPhrase(ci: CiMethod, df: number | null, joint: boolean): string {
  if (ci === 'normal') return 'Wald, standard normal quantile';
  if (df === null) return 'that of the only study, standard normal quantile';
  const name = `Hartung–Knapp–Sidik–Jonkman${joint ? ' in its multivariate form (Jackson and Riley 2014)' : ''}`;
  const freedom = `t with ${degrees(df)} degrees of freedom (${joint ? 'estimates − terms' : 'studies − 1'})`;
  const truncation = ci === 'HKSJ' ? 'not truncated' : 'never narrower than without the adjustment (ad hoc)';
  return `${name}, ${freedom}, ${truncation}`;
}

/** `random-effects model, REML` or `common-effect model`. */
export function modelPhrase(pool: Pool): string {
  return pool.tau2 === 'FE' ? 'Common-effect model' : `Random-effects model, ${TAU2_NAMES[pool.tau2]}`;
}

/** Decimals for a pooled term printed on the ratio scale, or on the model's scale. */
export function decimalsOf(term: { readonly se: number | null }, isRatio: boolean): number {
  if (term.se === null) return isRatio ? 2 : 3;
  const decimals = Math.max(0, Math.min(8, -Math.floor(Math.log10(Math.max(term.se, 1e-8)))));
  return isRatio ? Math.max(2, decimals) : decimals + 1;
}

/** `0.49 to 0.70`, exponentiated where the measure is a ratio; an en dash where there is no interval. */
export function intervalText(
  interval: readonly [number, number] | null,
  decimals: number,
  isRatio: boolean,
): string {
  if (interval === null) return NONE;
  const show = (value: number): string =>
    isRatio ? ratio(Math.exp(value), decimals) : fixed(value, decimals);
  return `${show(interval[0])} to ${show(interval[1])}`;
}

export function estimateText(value: number | null, decimals: number, isRatio: boolean): string {
  if (value === null) return NONE;
  return isRatio ? ratio(Math.exp(value), decimals) : fixed(value, decimals);
}

/** `0.49 (95% CI 0.35 to 0.70)`. */
export function estimateWithInterval(
  term: Pick<Coefficient, 'estimate' | 'se' | 'ci'>,
  isRatio: boolean,
  level: number,
): string {
  const decimals = decimalsOf(term, isRatio);
  const estimate = estimateText(term.estimate, decimals, isRatio);
  if (term.ci === null) return estimate;
  return `${estimate} (${levelPercent(level)} CI ${intervalText(term.ci, decimals, isRatio)})`;
}

/** The line under a forest plot; a common-effect model has no τ² to show. */
export function heterogeneityLine(heterogeneity: Heterogeneity | null, pool: Pool, studies: number): string {
  if (heterogeneity === null || heterogeneity.tau2 === null) {
    const why = studies === 1 ? 'one study cannot show any' : 'not computed, see the warnings';
    return `Heterogeneity: τ² ${NONE}, I² ${NONE}, Q ${NONE} (${why})`;
  }
  const { tau2, tau2_ci: ci, i2, q, q_df: df, q_p: p } = heterogeneity;
  const interval =
    ci === null
      ? ''
      : ` (${levelPercent(pool.level)} CI ${significant(ci[0], 3)} to ${significant(ci[1], 3)})`;
  const variance = pool.tau2 === 'FE' ? '' : `τ² = ${significant(tau2, 3)}${interval}, `;
  const homogeneity = q === null ? `Q ${NONE}` : `Q = ${fixed(q, 1)} on ${degrees(df)} df, ${pStatement(p)}`;
  return `Heterogeneity: ${variance}I² = ${percent(i2)}, ${homogeneity}`;
}

/** Why a pooled number that one would look for is not there. */
export function whyNotPooled(outcome: TwoStageResult): string {
  if (outcome.reason !== undefined) return outcome.reason.message;
  return 'No pooled estimate was computed: see the warnings.';
}
