import { makeAxis, type Axis } from './axis.ts';
import { MARGIN } from './forest-layout.ts';
import type { Markup } from './markup.ts';
import { band, curve, figure, line, SMALL, text } from './svg.ts';
import { fit, textWidth, wrap } from './text-width.ts';

export interface CurveInput {
  /** Unique on the page: prefix of the figure's element ids. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Ascending in x; on the model's scale. */
  readonly points: readonly {
    readonly x: number;
    readonly y: number;
    readonly low: number;
    readonly high: number;
  }[];
  readonly isRatio: boolean;
  /** Over the vertical axis. */
  readonly effect: string;
  /** Under the horizontal axis. */
  readonly variable: string;
  readonly knots: readonly number[];
  readonly directions: readonly [string, string] | null;
  readonly footnotes: readonly string[];
}

const WIDTH = 720;
const HEIGHT = 320;
const LINE = 17;
/** More than the axis of a ratio goes: beyond it the band is cut. */
const LIMIT = 60;

/** From a scale to pixels. */
const scaleOf =
  ({ low, high }: Axis, from: number, to: number) =>
  (value: number): number =>
    from + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (to - from);

/**
 * An effect over a continuous variable with a pointwise confidence band, as a self-contained SVG document. On the scale
 * of the model, 0 is no difference from the reference value.
 */
export function curvePlot(input: CurveInput): string {
  const { points } = input;
  const ys = [...points.flatMap(({ low, high }) => [low, high]), 0].map((y) =>
    Math.min(Math.max(y, input.isRatio ? -LIMIT : -Infinity), input.isRatio ? LIMIT : Infinity),
  );
  const vertical = makeAxis([], ys, input.isRatio);
  const horizontal = makeAxis([], [points[0]!.x, points.at(-1)!.x], false);
  const labels = Math.max(...vertical.ticks.map(({ label }) => textWidth(label, SMALL)));
  const left = MARGIN + labels + 12;
  const right = WIDTH - MARGIN - 8;
  const heads = wrap(`${input.effect}${input.isRatio ? ' (log scale)' : ''}`, WIDTH - 2 * MARGIN, SMALL);
  const top = MARGIN + heads.length * LINE + 10 + (input.directions === null ? 0 : LINE);
  const bottom = top + HEIGHT;
  const x = scaleOf(horizontal, left, right);
  const y = scaleOf(vertical, bottom, top);
  const notes = input.footnotes.flatMap((note) => wrap(note, WIDTH - 2 * MARGIN, SMALL));
  const underneath = input.directions === null ? 0 : LINE;
  const notesTop = bottom + 46 + underneath;
  const parts: Markup[] = [
    ...heads.map((head, i) => text(MARGIN, MARGIN + 12 + i * LINE, head, { size: SMALL, bold: true })),
    ...(input.directions === null
      ? []
      : [
          text(left + 6, top - 8, `↑ ${fit(input.directions[1], right - left - 30, SMALL)}`, { size: SMALL }),
          text(left + 6, bottom + 38 + LINE, `↓ ${fit(input.directions[0], right - left - 30, SMALL)}`, {
            size: SMALL,
          }),
        ]),
    band([
      ...points.map(({ x: at, high }) => [x(at), y(high)] as const),
      ...points.toReversed().map(({ x: at, low }) => [x(at), y(low)] as const),
    ]),
    line(left, y(0), right, y(0), 'dashed'),
    curve(points.map((point) => [x(point.x), y(point.y)] as const)),
    line(left, top, left, bottom, 'ink'),
    line(left, bottom, right, bottom, 'ink'),
    ...vertical.ticks.flatMap((tick) => [
      line(left - 5, y(tick.at), left, y(tick.at), 'ink'),
      text(left - 9, y(tick.at) + 4, tick.label, { anchor: 'end', size: SMALL }),
    ]),
    ...horizontal.ticks.flatMap((tick) => [
      line(x(tick.at), bottom, x(tick.at), bottom + 5, 'ink'),
      text(x(tick.at), bottom + 19, tick.label, { anchor: 'middle', size: SMALL }),
    ]),
    ...input.knots.map((knot) => line(x(knot), bottom - 8, x(knot), bottom, 'accent')),
    text((left + right) / 2, bottom + 37, fit(input.variable, right - left, SMALL), {
      anchor: 'middle',
      size: SMALL,
      muted: true,
    }),
    ...notes.map((note, i) => text(MARGIN, notesTop + LINE * (i + 1), note, { size: SMALL, muted: true })),
  ];
  const height = Math.ceil(notesTop + LINE * notes.length + MARGIN);
  return figure(input.id, { width: WIDTH, height }, input.title, input.description, parts);
}
