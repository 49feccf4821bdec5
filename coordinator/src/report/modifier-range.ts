/** Over which values of a continuous modifier its effect is drawn, and relative to which. */
import type { StudyResult } from '@concordat/shared/plan/result-types.ts';
import type { AnalysisView } from './view.ts';

/** Mean and standard deviation of a modifier over studies, and the range of its means. */
interface Moments {
  readonly mean: number | null;
  readonly sd: number | null;
  readonly means: readonly number[];
}

/** From this analysis; what it does not know, from another of the same modifier in the plan. */
export function momentsOf(view: AnalysisView, views: readonly AnalysisView[]): Moments {
  const { planned } = view;
  const same = views.filter(
    ({ planned: other }) =>
      other.effectModifier?.variable === planned.effectModifier?.variable &&
      other.effectModifier?.form === planned.effectModifier?.form,
  );
  const all = [view, ...same.filter((other) => other !== view)].map(({ outcome }) =>
    ownMoments(outcome.studies),
  );
  const known = all.find(({ mean }) => mean !== null);
  return {
    mean: known?.mean ?? null,
    means: known?.means ?? [],
    sd: all.find(({ sd }) => sd !== null)?.sd ?? null,
  };
}

function ownMoments(studies: readonly StudyResult[]): Moments {
  let [n, mean, square, spread] = [0, 0, 0, 0];
  const means: number[] = [];
  for (const { participants, modifier_means: moments } of studies) {
    const own = moments?.[0];
    if (own === undefined || participants === null) continue;
    const { left_out: _, ...arms } = participants;
    const size = Object.values(arms).reduce((sum, count) => sum + count, 0);
    n += size;
    mean += size * own.mean;
    means.push(own.mean);
    if (own.sd === undefined) continue;
    square += size * own.sd * own.sd;
    spread += size;
  }
  return {
    mean: n > 0 ? mean / n : null,
    sd: spread > 0 && square > 0 ? Math.sqrt(square / spread) : null,
    means,
  };
}

export interface Range {
  readonly from: number;
  readonly to: number;
  readonly reference: number;
  /** x is a difference from a study's mean. */
  readonly isDifference: boolean;
  readonly note: string;
}

export function rangeOf({ mean, sd, means }: Moments, knots: readonly number[]): Range {
  if (knots.length > 0) {
    const [from, to] = [knots[0]!, knots.at(-1)!];
    const middle = knots[Math.floor(knots.length / 2)]!;
    const reference = mean !== null && mean > from && mean < to ? rounded(mean, to - from) : middle;
    return {
      from,
      to,
      reference,
      isDifference: false,
      note: 'Range: the outer knots; marks on the axis: knots.',
    };
  }
  if (mean === null) {
    const half = 2 * (sd ?? 0.5);
    const note = sd === null ? '' : 'Range: two standard deviations within studies either way.';
    return { from: -half, to: half, reference: 0, isDifference: true, note };
  }
  if (sd !== null) {
    const reference = rounded(mean, 4 * sd);
    return {
      from: reference - 2 * sd,
      to: reference + 2 * sd,
      reference,
      isDifference: false,
      note: 'Range: two standard deviations within studies either side of the mean.',
    };
  }
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const reach = Math.max(high - low, 0.1 * Math.abs(mean)) || 1;
  return {
    from: low - reach,
    to: high + reach,
    reference: rounded(mean, high - low + 2 * reach),
    isDifference: false,
    note: 'Range: the studies’ means, and as far again either side.',
  };
}

/** To a few digits of the range, so that a caption can name it exactly. */
function rounded(value: number, range: number): number {
  const unit = 10 ** Math.floor(Math.log10(range) - 1);
  return Number((Math.round(value / unit) * unit).toPrecision(12));
}

/** Decimals that the rounded reference has. */
export const referenceDecimals = ({ from, to }: Range): number =>
  Math.max(0, 1 - Math.floor(Math.log10(to - from)));
