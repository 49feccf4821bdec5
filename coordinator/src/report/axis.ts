import { fixed, powerOfTen } from './format.ts';

/** Axis of a forest plot, in the model's scale (natural logarithms where the measure is a ratio). */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly { readonly at: number; readonly label: string }[];
}

export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

const MAXIMUM_TICKS = 8;

/** Steps 1, 2, 5 times a power of ten: the smallest that leaves at most `most` intervals in a span. */
function niceStep(span: number, most: number): number {
  const rough = span / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function plainTicks(low: number, high: number): Axis['ticks'] {
  const step = niceStep(high - low, MAXIMUM_TICKS);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push({ at: i * step, label: i === 0 ? '0' : fixed(i * step, decimals) });
  }
  return ticks;
}

/** All multiples `m × 10^k` within [low, high] on the ratio scale. */
function decadeTicks(low: number, high: number, multiples: readonly number[], every = 1): number[] {
  const ticks = [];
  const first = Math.floor(Math.log10(low) / every) * every;
  for (let power = first; 10 ** power <= high; power += every) {
    for (const multiple of multiples) ticks.push(multiple * 10 ** power);
  }
  return ticks.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
}

function ratioTicks(logLow: number, logHigh: number): Axis['ticks'] {
  const low = Math.exp(logLow);
  const high = Math.exp(logHigh);
  const inRange = (ticks: readonly number[]): number[] => ticks.filter((tick) => tick >= low && tick <= high);
  const isModerate = low >= 0.1 && high <= 10;
  const doublings = isModerate ? inRange([0.125, 0.25, 0.5, 1, 2, 4, 8]) : [];
  const halves = isModerate ? inRange([0.5, 0.75, 1, 1.5, 2, 3]) : [];
  const candidates = [
    ...(doublings.length >= 3 ? [doublings] : []),
    ...(halves.length >= 4 ? [halves] : []),
    ...[
      decadeTicks(low, high, [1, 2, 5]),
      decadeTicks(low, high, [1, 3]),
      decadeTicks(low, high, [1]),
      ...[2, 3, 6, 12, 24].map((every) => decadeTicks(low, high, [1], every)),
    ].filter((ticks) => ticks.length >= 4),
  ];
  const chosen = candidates.find((ticks) => ticks.length <= MAXIMUM_TICKS);
  if (chosen !== undefined) {
    return chosen.map((tick) => ({ at: Math.log(tick), label: tickLabel(tick) }));
  }
  // A narrow range around 1: equal steps on the ratio scale, still placed logarithmically.
  return plainTicks(low, high)
    .filter((tick) => tick.at > 0)
    .map((tick) => ({ at: Math.log(tick.at), label: tick.label }));
}

function tickLabel(tick: number): string {
  if (tick >= 1e5 || tick < 1e-4) return powerOfTen(Math.round(Math.log10(tick)));
  return String(Number(tick.toPrecision(3)));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/**
 * Limits and ticks. Everything in `always` (pooled interval, prediction interval, the line of no effect) is in
 * view; so are the estimates, unless one is far less precise than the rest; intervals may be cut, since a few
 * imprecise studies must not squeeze the others into the middle.
 */
export function makeAxis(studies: readonly Interval[], always: readonly number[], isRatio: boolean): Axis {
  const usualWidth = median(studies.map(({ low, high }) => high - low));
  const core = [
    ...always,
    ...studies.filter(({ low, high }) => high - low <= 6 * usualWidth).map(({ estimate }) => estimate),
  ];
  if (core.length === 0) core.push(0);
  const coreLow = Math.min(...core);
  const coreHigh = Math.max(...core);
  const reach = Math.max(0.5 * (coreHigh - coreLow), 0.75 * usualWidth);
  let low = Math.max(coreLow - reach, Math.min(coreLow, ...studies.map((study) => study.low)));
  let high = Math.min(coreHigh + reach, Math.max(coreHigh, ...studies.map((study) => study.high)));
  if (high - low < 1e-12 + Math.max(Math.abs(low), Math.abs(high)) * 1e-9) {
    const room = Math.max(Math.abs(low) * 0.5, isRatio ? Math.LN2 : 1);
    low -= room;
    high += room;
  }
  const margin = 0.04 * (high - low);
  // A ratio beyond e^±60 is a fit that ran away: the axis stays where numbers can be printed.
  low = isRatio ? Math.max(low - margin, -60) : low - margin;
  high = isRatio ? Math.min(high + margin, 60) : high + margin;
  return { low, high, ticks: isRatio ? ratioTicks(low, high) : plainTicks(low, high) };
}
