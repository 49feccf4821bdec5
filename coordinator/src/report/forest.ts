import { makeAxis, type Axis, type Interval } from './axis.ts';
import { decimalsFor, fixed, levelPercent, NONE, ratio } from './format.ts';
import { markup, type Markup } from './markup.ts';
import { fit, textWidth, wrap } from './text-width.ts';

export interface ForestRow {
  readonly study: string;
  /** One text a count column (events/n of an arm). */
  readonly cells: readonly string[];
  /** On the model's scale; null where the study gives none. */
  readonly estimate: number | null;
  readonly se: number | null;
  /** Percent; null where the pooled estimate has no univariate weights. */
  readonly weight: number | null;
  /** Any positive number: the area of the square is proportional to it. */
  readonly size: number | null;
  /** Why there is no estimate, in words. */
  readonly note: string | null;
}

export interface ForestSummary {
  readonly label: string;
  readonly estimate: number;
  readonly ci: readonly [number, number];
  readonly prediction: readonly [number, number] | null;
}

export interface ForestInput {
  /** Unique on the page: prefix of the figure's element ids. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Heads of the count columns and what their cells hold, such as `events/n`. */
  readonly columns: readonly string[];
  readonly unit: string;
  readonly rows: readonly ForestRow[];
  readonly pooled: ForestSummary | null;
  readonly effect: string;
  readonly isRatio: boolean;
  readonly level: number;
  /** Standard normal quantile of `level`, for the studies' intervals. */
  readonly z: number;
  /** False where 0 on the model's scale means nothing (a pooled intercept). */
  readonly noEffectLine: boolean;
  readonly directions: readonly [string, string] | null;
  readonly footnotes: readonly string[];
}

const FONT = 13;
const SMALL = 12;
const ROW = 22;
const GAP = 22;
const PLOT = 340;
const MARGIN = 12;
const LARGEST_SQUARE = 15;
const SMALLEST_SQUARE = 3;

type Anchor = 'start' | 'middle' | 'end';

interface TextStyle {
  readonly anchor?: Anchor;
  readonly size?: number;
  readonly bold?: boolean;
  readonly muted?: boolean;
  /** The whole text where what is shown is cut. */
  readonly full?: string;
}

/** Coordinates to a hundredth of a pixel, so that the same result gives the same bytes and no 1e-15. */
function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function text(x: number, y: number, content: string, style: TextStyle = {}): Markup {
  const { anchor = 'start', size = FONT, bold = false, muted = false, full } = style;
  return markup`<text x="${px(x)}" y="${px(y)}" font-size="${size}" text-anchor="${anchor}"${
    bold ? markup` font-weight="600"` : null
  } class="${muted ? 'muted' : 'ink'}" fill="${muted ? '#57606a' : '#1f2328'}">${
    full === undefined || full === content ? null : markup`<title>${full}</title>`
  }${content}</text>`;
}

function line(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  kind: 'ink' | 'rule' | 'dashed' | 'accent',
): Markup {
  const looks = {
    ink: markup`class="ink-line" stroke="#1f2328" stroke-width="1.4"`,
    rule: markup`class="rule" stroke="#8c959f" stroke-width="1"`,
    dashed: markup`class="rule" stroke="#8c959f" stroke-width="1" stroke-dasharray="3 3"`,
    accent: markup`class="accent-line" stroke="#9a3412" stroke-width="2.4"`,
  };
  return markup`<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" ${looks[kind]}/>`;
}

/** An interval drawn inside the axis; an arrowhead says that it goes on beyond. */
function intervalLine(
  low: number,
  high: number,
  y: number,
  axis: Axis,
  at: Position,
  kind: 'ink' | 'accent',
): Markup {
  const from = at(Math.max(low, axis.low));
  const to = at(Math.min(high, axis.high));
  const fill = kind === 'ink' ? markup`class="ink" fill="#1f2328"` : markup`class="accent" fill="#9a3412"`;
  const head = (tip: number, side: 1 | -1): Markup =>
    markup`<path d="M${px(tip)} ${px(y)}l${-7 * side} -4v8z" ${fill}/>`;
  const cap = (x: number): Markup | null => (kind === 'accent' ? line(x, y - 4, x, y + 4, kind) : null);
  return markup`${low < axis.high && high > axis.low ? line(from, y, to, y, kind) : null}${
    low < axis.low ? head(at(axis.low), -1) : cap(from)
  }${high > axis.high ? head(at(axis.high), 1) : cap(to)}`;
}

type Position = (value: number) => number;

interface Drawn {
  readonly estimate: string;
  readonly ci: string;
  readonly weight: string;
}

function numbers(value: Interval, input: ForestInput, decimals: number): { estimate: string; ci: string } {
  const show = input.isRatio
    ? (x: number): string => ratio(Math.exp(x), decimals)
    : (x: number): string => fixed(x, decimals);
  return { estimate: show(value.estimate), ci: `[${show(value.low)}, ${show(value.high)}]` };
}

function studyInterval(row: ForestRow, z: number): Interval | null {
  if (row.estimate === null || row.se === null) return null;
  return { estimate: row.estimate, low: row.estimate - z * row.se, high: row.estimate + z * row.se };
}

/**
 * A forest plot as a self-contained SVG document: colours stand in attributes, so the file looks the same
 * anywhere, and every shape has a class, so that a page's style sheet can recolour it for a dark scheme.
 */
export function forestPlot(input: ForestInput): string {
  const intervals = input.rows.map((row) => studyInterval(row, input.z));
  const drawn = intervals.filter((interval) => interval !== null);
  const { pooled } = input;
  const axis = makeAxis(
    drawn,
    [
      ...(pooled === null ? [] : [pooled.estimate, ...pooled.ci, ...(pooled.prediction ?? [])]),
      ...(input.noEffectLine ? [0] : []),
    ],
    input.isRatio,
  );

  const errors = input.rows.flatMap((row) => (row.se === null ? [] : [row.se]));
  const smallest = errors.length === 0 ? 0.1 : Math.min(...errors);
  const decimals = input.isRatio ? Math.max(2, decimalsFor(smallest, 1)) : decimalsFor(smallest, 2);
  const hasWeights = input.rows.some((row) => row.weight !== null);
  const numbersOf = (index: number): Drawn | null => {
    const interval = intervals[index];
    if (interval === null || interval === undefined) return null;
    const weight = input.rows[index]?.weight ?? null;
    return {
      ...numbers(interval, input, decimals),
      weight: weight === null ? NONE : `${weight.toFixed(1)}%`,
    };
  };
  const rowNumbers = input.rows.map((_, index) => numbersOf(index));
  const pooledNumbers =
    pooled === null
      ? null
      : numbers({ estimate: pooled.estimate, low: pooled.ci[0], high: pooled.ci[1] }, input, decimals);
  const predictionNumbers =
    pooled?.prediction == null
      ? null
      : numbers({ estimate: 0, low: pooled.prediction[0], high: pooled.prediction[1] }, input, decimals).ci;

  // Columns, left to right: study, counts, plot, estimate, interval, weight.
  const widest = (texts: readonly string[], size = FONT, bold = false): number =>
    Math.max(0, ...texts.map((content) => textWidth(content, size, bold)));
  const nameWidth = Math.min(250, Math.max(110, widest(input.rows.map((row) => row.study))));
  const countWidths = input.columns.map((head, column) =>
    Math.max(
      widest([head], FONT, true),
      widest([input.unit], SMALL),
      widest(input.rows.map((row) => row.cells[column] ?? '')),
    ),
  );
  const estimateWidth = widest(
    [...rowNumbers.map((row) => row?.estimate ?? ''), pooledNumbers?.estimate ?? ''],
    FONT,
    true,
  );
  const ciWidth = widest(
    [...rowNumbers.map((row) => row?.ci ?? ''), pooledNumbers?.ci ?? '', predictionNumbers ?? ''],
    FONT,
    true,
  );
  const numberWidth = Math.min(Math.max(estimateWidth + 6 + ciWidth, 120), 400);
  const effectLines = [
    ...wrap(input.effect, Math.max(numberWidth, 190), FONT * 1.1),
    `[${levelPercent(input.level)} CI]`,
  ];
  const rightWidth = Math.max(numberWidth, widest(effectLines, FONT, true));
  const weightWidth = hasWeights ? widest(['Weight'], FONT, true) : 0;

  let x = MARGIN + nameWidth;
  const countEnds = countWidths.map((width) => (x += GAP + width));
  const plotLeft = x + GAP;
  const plotRight = plotLeft + PLOT;
  const ciEnd = plotRight + GAP + rightWidth;
  const weightEnd = hasWeights ? ciEnd + GAP + weightWidth : ciEnd;
  const width = Math.ceil(weightEnd + MARGIN);
  const at: Position = (value) => plotLeft + ((value - axis.low) / (axis.high - axis.low)) * PLOT;

  const headHeight = Math.max(2, effectLines.length) * 16 + 14;
  const top = MARGIN + headHeight;
  const rowY = (index: number): number => top + 6 + index * ROW + ROW / 2;
  const baseline = 4.5;
  const parts: Markup[] = [];

  // Head.
  const headY = MARGIN + headHeight - 12;
  parts.push(text(MARGIN, headY, 'Study', { bold: true }));
  for (const [column, head] of input.columns.entries()) {
    const end = countEnds[column] ?? 0;
    parts.push(text(end, headY - 16, head, { anchor: 'end', bold: true }));
    parts.push(text(end, headY, input.unit, { anchor: 'end', size: SMALL, muted: true }));
  }
  for (const [index, content] of effectLines.entries()) {
    parts.push(
      text(ciEnd, headY - 16 * (effectLines.length - 1 - index), content, { anchor: 'end', bold: true }),
    );
  }
  if (hasWeights) parts.push(text(weightEnd, headY, 'Weight', { anchor: 'end', bold: true }));
  parts.push(line(MARGIN, top, width - MARGIN, top, 'rule'));

  // The pooled rows follow the studies.
  const lastRow = input.rows.length;
  const summaryTop = top + 6 + lastRow * ROW + 4;
  const pooledY = summaryTop + 4 + ROW / 2;
  const predictionY = pooledY + ROW;
  const summaryRows = (pooled === null ? 0 : 1) + (pooled?.prediction == null ? 0 : 1);
  const plotBottom = summaryTop + 4 + summaryRows * ROW + 6;

  // Studies without an estimate come last: the vertical lines stop above their words and go on below.
  const drawnBottom = top + 6 + drawn.length * ROW;
  const verticals: [number, number][] =
    drawn.length === lastRow
      ? [[top, plotBottom]]
      : [
          [top, drawnBottom],
          [summaryTop, plotBottom],
        ];
  for (const [from, to] of verticals) {
    if (input.noEffectLine) parts.push(line(at(0), from, at(0), to, 'rule'));
    if (pooled !== null)
      parts.push(line(at(pooled.estimate), from, at(pooled.estimate), Math.min(to, pooledY), 'dashed'));
  }

  // Studies.
  const largest = Math.max(...input.rows.map((row) => row.size ?? 0), Number.MIN_VALUE);
  for (const [index, row] of input.rows.entries()) {
    const y = rowY(index);
    const interval = intervals[index] ?? null;
    const shown = rowNumbers[index] ?? null;
    const missing = interval === null;
    parts.push(
      text(MARGIN, y + baseline, fit(row.study, nameWidth, FONT), { full: row.study, muted: missing }),
    );
    for (const [column, cell] of row.cells.entries()) {
      parts.push(text(countEnds[column] ?? 0, y + baseline, cell, { anchor: 'end', muted: missing }));
    }
    if (interval === null || shown === null) {
      const note = row.note ?? 'No estimate';
      const room = width - MARGIN - plotLeft;
      const fitted = fit(note, room, SMALL);
      parts.push(text(plotLeft, y + baseline, fitted, { size: SMALL, muted: true, full: note }));
      continue;
    }
    parts.push(intervalLine(interval.low, interval.high, y, axis, at, 'ink'));
    if (interval.estimate >= axis.low && interval.estimate <= axis.high) {
      const side = Math.max(SMALLEST_SQUARE, LARGEST_SQUARE * Math.sqrt((row.size ?? 0) / largest));
      parts.push(
        markup`<rect x="${px(at(interval.estimate) - side / 2)}" y="${px(y - side / 2)}" width="${px(side)}" height="${px(
          side,
        )}" class="square" fill="#2f6690"/>`,
      );
    }
    parts.push(text(ciEnd, y + baseline, shown.ci, { anchor: 'end' }));
    parts.push(text(ciEnd - ciWidth - 6, y + baseline, shown.estimate, { anchor: 'end' }));
    if (hasWeights) parts.push(text(weightEnd, y + baseline, shown.weight, { anchor: 'end' }));
  }

  // Pooled estimate and prediction interval.
  parts.push(line(MARGIN, summaryTop, width - MARGIN, summaryTop, 'rule'));
  if (pooled !== null && pooledNumbers !== null) {
    const [low, high] = pooled.ci;
    const middle = at(pooled.estimate);
    parts.push(
      markup`<polygon points="${px(at(low))},${px(pooledY)} ${px(middle)},${px(pooledY - 7)} ${px(at(high))},${px(
        pooledY,
      )} ${px(middle)},${px(pooledY + 7)}" class="diamond" fill="#1f2328"/>`,
    );
    parts.push(text(MARGIN, pooledY + baseline, pooled.label, { bold: true }));
    parts.push(text(ciEnd, pooledY + baseline, pooledNumbers.ci, { anchor: 'end', bold: true }));
    parts.push(
      text(ciEnd - ciWidth - 6, pooledY + baseline, pooledNumbers.estimate, { anchor: 'end', bold: true }),
    );
    if (hasWeights) parts.push(text(weightEnd, pooledY + baseline, '100%', { anchor: 'end', bold: true }));
    if (pooled.prediction !== null && predictionNumbers !== null) {
      parts.push(intervalLine(pooled.prediction[0], pooled.prediction[1], predictionY, axis, at, 'accent'));
      parts.push(text(MARGIN, predictionY + baseline, `${levelPercent(input.level)} prediction interval`));
      parts.push(text(ciEnd, predictionY + baseline, predictionNumbers, { anchor: 'end' }));
    }
  }

  // Axis, directions, name of the scale.
  parts.push(line(plotLeft, plotBottom, plotRight, plotBottom, 'ink'));
  let previousEnd = -Infinity;
  for (const tick of axis.ticks) {
    const half = textWidth(tick.label, SMALL) / 2;
    parts.push(line(at(tick.at), plotBottom, at(tick.at), plotBottom + 5, 'ink'));
    if (at(tick.at) - half < previousEnd + 6) continue;
    previousEnd = at(tick.at) + half;
    parts.push(text(at(tick.at), plotBottom + 18, tick.label, { anchor: 'middle', size: SMALL }));
  }
  let y = plotBottom + 36;
  const scale = input.isRatio ? `${input.effect} (log scale)` : input.effect;
  parts.push(
    text((plotLeft + plotRight) / 2, y, fit(scale, width - plotLeft, SMALL), {
      anchor: 'middle',
      size: SMALL,
      muted: true,
    }),
  );
  if (input.directions !== null) {
    y += 18;
    const [lower, higher] = input.directions;
    const split = Math.min(Math.max(at(0), plotLeft + 60), plotRight - 60);
    parts.push(text(split - 10, y, `← ${lower}`, { anchor: 'end', size: SMALL }));
    parts.push(text(split + 10, y, `${higher} →`, { size: SMALL }));
  }
  y += 10;
  const isCut = drawn.some(({ low, high }) => low < axis.low || high > axis.high);
  const cut = isCut ? ['Arrowheads: the interval goes on beyond the axis.'] : [];
  for (const content of [...input.footnotes, ...cut].flatMap((note) =>
    wrap(note, width - 2 * MARGIN, SMALL),
  )) {
    y += 17;
    parts.push(text(MARGIN, y, content, { size: SMALL, muted: true }));
  }
  const height = Math.ceil(y + MARGIN);

  return markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${input.id}-title ${input.id}-desc" class="forest" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" style="font-variant-numeric:tabular-nums"><title id="${input.id}-title">${input.title}</title><desc id="${input.id}-desc">${input.description}</desc><rect width="${width}" height="${height}" class="paper" fill="#ffffff"/>${parts}</svg>`
    .text;
}
