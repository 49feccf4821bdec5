import type { Axis } from './axis.ts';
import { levelPercent } from './format.ts';
import { layOut, MARGIN, ROW, type ForestInput, type Layout } from './forest-layout.ts';
import { markup, type Markup } from './markup.ts';
import { arrowhead, diamond, figure, FONT, line, SMALL, square, text } from './svg.ts';
import { fit, textWidth, wrap } from './text-width.ts';

const LARGEST_SQUARE = 15;
const SMALLEST_SQUARE = 3;
/** From a line's middle to the baseline of its text. */
const BASELINE = 4.5;
const HEAD_LINE = 16;

/** Heights of the parts of the figure. */
interface Heights {
  readonly top: number;
  /** Under the last study with an estimate. */
  readonly drawnBottom: number;
  readonly summaryTop: number;
  readonly pooledY: number;
  readonly predictionY: number;
  readonly plotBottom: number;
}

function heights(input: ForestInput, { rows, effectLines }: Layout): Heights {
  const top = MARGIN + Math.max(2, effectLines.length) * HEAD_LINE + 14;
  const firstRow = top + 6;
  const summaryTop = firstRow + rows.length * ROW + 4;
  const summaryRows = input.pooled === null ? 0 : input.pooled.prediction === null ? 1 : 2;
  const pooledY = summaryTop + 4 + ROW / 2;
  return {
    top,
    drawnBottom: firstRow + rows.filter(({ interval }) => interval !== null).length * ROW,
    summaryTop,
    pooledY,
    predictionY: pooledY + ROW,
    plotBottom: summaryTop + 4 + summaryRows * ROW + 6,
  };
}

function drawHead(input: ForestInput, layout: Layout, { top }: Heights): Markup[] {
  const y = top - 12;
  const { effectLines, ciEnd, weightEnd, width } = layout;
  return [
    text(MARGIN, y, input.rowsHead ?? 'Study', { bold: true }),
    ...input.columns.flatMap((head, column) => {
      const end = layout.countEnds[column] ?? 0;
      return [
        text(end, y - HEAD_LINE, head, { anchor: 'end', bold: true }),
        text(end, y, input.unit, { anchor: 'end', size: SMALL, muted: true }),
      ];
    }),
    ...effectLines.map((content, index) =>
      text(ciEnd, y - HEAD_LINE * (effectLines.length - 1 - index), content, { anchor: 'end', bold: true }),
    ),
    ...(layout.hasWeights ? [text(weightEnd, y, 'Weight', { anchor: 'end', bold: true })] : []),
    line(MARGIN, top, width - MARGIN, top, 'rule'),
  ];
}

/** Lines of no effect and of the pooled estimate; they stop above studies without an estimate and go on below. */
function drawVerticals(input: ForestInput, { at, rows }: Layout, y: Heights): Markup[] {
  const isWhole = rows.every(({ interval }) => interval !== null);
  const parts: [number, number][] = isWhole
    ? [[y.top, y.plotBottom]]
    : [
        [y.top, y.drawnBottom],
        [y.summaryTop, y.plotBottom],
      ];
  return parts.flatMap(([from, to]) => [
    ...(input.noEffectLine ? [line(at(0), from, at(0), to, 'rule')] : []),
    ...(input.pooled === null
      ? []
      : [
          line(at(input.pooled.estimate), from, at(input.pooled.estimate), Math.min(to, y.pooledY), 'dashed'),
        ]),
  ]);
}

/** An interval inside the axis; an arrowhead says that it goes on beyond. */
function drawInterval(low: number, high: number, y: number, layout: Layout, kind: 'ink' | 'accent'): Markup {
  const { axis, at, plotLeft, plotRight } = layout;
  const left = Math.min(Math.max(at(low), plotLeft), plotRight);
  const right = Math.min(Math.max(at(high), plotLeft), plotRight);
  const cap = (x: number): Markup | null => (kind === 'accent' ? line(x, y - 4, x, y + 4, kind) : null);
  return markup`${line(left, y, right, y, kind)}${
    low < axis.low ? arrowhead(plotLeft, y, -1, kind) : cap(left)
  }${high > axis.high ? arrowhead(plotRight, y, 1, kind) : cap(right)}`;
}

function drawStudy(
  { row, interval, numbers }: Layout['rows'][number],
  y: number,
  layout: Layout,
  largest: number,
): Markup[] {
  const { nameWidth, plotLeft, width, axis, at } = layout;
  const muted = interval === null;
  const base = y + BASELINE;
  const parts = [
    text(MARGIN, base, fit(row.study, nameWidth, FONT), { full: row.study, muted }),
    ...row.cells.map((cell, column) =>
      text(layout.countEnds[column] ?? 0, base, cell, { anchor: 'end', muted }),
    ),
  ];
  if (interval === null || numbers === null) {
    const note = row.note ?? 'No estimate';
    const shown = fit(note, width - MARGIN - plotLeft, SMALL);
    return [...parts, text(plotLeft, base, shown, { size: SMALL, muted, full: note })];
  }
  parts.push(drawInterval(interval.low, interval.high, y, layout, 'ink'));
  if (interval.estimate >= axis.low && interval.estimate <= axis.high) {
    const side = LARGEST_SQUARE * Math.sqrt((row.size ?? 0) / largest);
    parts.push(square(at(interval.estimate), y, Math.max(SMALLEST_SQUARE, side)));
  }
  return [...parts, ...drawNumbers(numbers, base, layout, false)];
}

function drawNumbers(
  { estimate, ci, weight }: NonNullable<Layout['pooled']>,
  base: number,
  layout: Layout,
  bold: boolean,
): Markup[] {
  const style = { anchor: 'end', bold } as const;
  return [
    text(layout.estimateEnd, base, estimate, style),
    text(layout.ciEnd, base, ci, style),
    ...(layout.hasWeights ? [text(layout.weightEnd, base, weight, style)] : []),
  ];
}

function drawSummary(input: ForestInput, layout: Layout, y: Heights): Markup[] {
  const { pooled } = input;
  if (pooled === null || layout.pooled === null) return [];
  const { plotLeft, plotRight, prediction } = layout;
  const at = (value: number): number => Math.min(Math.max(layout.at(value), plotLeft), plotRight);
  const parts = [
    diamond(at(pooled.ci[0]), at(pooled.estimate), at(pooled.ci[1]), y.pooledY),
    text(MARGIN, y.pooledY + BASELINE, pooled.label, { bold: true }),
    ...drawNumbers(layout.pooled, y.pooledY + BASELINE, layout, true),
  ];
  if (pooled.prediction === null || prediction === null) return parts;
  const label = `${levelPercent(input.level)} prediction interval`;
  return [
    ...parts,
    drawInterval(pooled.prediction[0], pooled.prediction[1], y.predictionY, layout, 'accent'),
    text(MARGIN, y.predictionY + BASELINE, label),
    text(layout.ciEnd, y.predictionY + BASELINE, prediction, { anchor: 'end' }),
  ];
}

/** Every how many ticks a label fits beside the next one. */
function labelStride({ ticks }: Axis, at: Layout['at']): number {
  const widths = ticks.map((tick) => textWidth(tick.label, SMALL));
  const fits = (stride: number): boolean =>
    ticks.every((tick, i) => {
      const next = ticks[i + stride];
      if (next === undefined) return true;
      return at(next.at) - at(tick.at) > ((widths[i] ?? 0) + (widths[i + stride] ?? 0)) / 2 + 6;
    });
  let stride = 1;
  while (stride < ticks.length && !fits(stride)) stride++;
  return stride;
}

function drawAxis(input: ForestInput, { axis, at, plotLeft, plotRight, width }: Layout, y: number): Markup[] {
  const stride = labelStride(axis, at);
  // The label of no effect is never among those left out.
  const first = Math.max(
    0,
    axis.ticks.findIndex((tick) => Math.abs(tick.at) < 1e-12),
  );
  const ticks = axis.ticks.flatMap((tick, index) => [
    line(at(tick.at), y, at(tick.at), y + 5, 'ink'),
    ...((index - first) % stride === 0
      ? [text(at(tick.at), y + 18, tick.label, { anchor: 'middle', size: SMALL })]
      : []),
  ]);
  const scale = input.isRatio ? `${input.effect} (log scale)` : input.effect;
  const middle = (plotLeft + plotRight) / 2;
  const parts = [
    line(plotLeft, y, plotRight, y, 'ink'),
    ...ticks,
    text(middle, y + 36, fit(scale, width - plotLeft, SMALL), { anchor: 'middle', size: SMALL, muted: true }),
  ];
  if (input.directions === null) return parts;
  const [lower, higher] = input.directions;
  const split = Math.min(Math.max(at(0), plotLeft + 60), plotRight - 60);
  return [
    ...parts,
    text(split - 10, y + 54, `← ${fit(lower, split - 30 - MARGIN, SMALL)}`, { anchor: 'end', size: SMALL }),
    text(split + 10, y + 54, `${fit(higher, width - split - 30 - MARGIN, SMALL)} →`, { size: SMALL }),
  ];
}

/**
 * A forest plot as a self-contained SVG document. Study intervals are estimate ± z × SE; an interval is cut at the
 * axis with an arrowhead; rows without an estimate must come last and show their note in words.
 */
export function forestPlot(input: ForestInput): string {
  const layout = layOut(input);
  const y = heights(input, layout);
  const { axis, rows, width } = layout;
  const largest = Math.max(...input.rows.map((row) => row.size ?? 0), Number.MIN_VALUE);
  const isCut = rows.some(
    ({ interval }) => interval !== null && (interval.low < axis.low || interval.high > axis.high),
  );
  const notes = [
    ...input.footnotes,
    ...(isCut ? ['Arrowheads: the interval goes on beyond the axis.'] : []),
  ].flatMap((note) => wrap(note, width - 2 * MARGIN, SMALL));
  const notesTop = y.plotBottom + (input.directions === null ? 36 : 54) + 10;
  const parts = [
    ...drawHead(input, layout, y),
    ...drawVerticals(input, layout, y),
    ...rows.flatMap((row, index) => drawStudy(row, y.top + 6 + index * ROW + ROW / 2, layout, largest)),
    line(MARGIN, y.summaryTop, width - MARGIN, y.summaryTop, 'rule'),
    ...drawSummary(input, layout, y),
    ...drawAxis(input, layout, y.plotBottom),
    ...notes.map((note, index) =>
      text(MARGIN, notesTop + 17 * (index + 1), note, { size: SMALL, muted: true }),
    ),
  ];
  const height = Math.ceil(notesTop + 17 * notes.length + MARGIN);
  return figure(input.id, { width, height }, input.title, input.description, parts);
}
