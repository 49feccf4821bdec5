import { makeAxis, type Axis, type Interval } from './axis.ts';
import { decimalsFor, fixed, levelPercent, NONE, ratio } from './format.ts';
import { FONT, SMALL } from './svg.ts';
import { textWidth, wrap } from './text-width.ts';

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
  /** Head of the first column; `Study` where it is absent. */
  readonly rowsHead?: string;
  /** What the intervals of the rows are; `95% CI` where it is absent. */
  readonly interval?: string;
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

export const ROW = 22;
export const MARGIN = 12;
const GAP = 22;
const PLOT_WIDTH = 340;
const WIDEST_NAME = 250;

/** What is printed at the right of a row. */
interface Numbers {
  readonly estimate: string;
  readonly ci: string;
  readonly weight: string;
}

interface LaidOutRow {
  readonly row: ForestRow;
  /** Null where the study has no estimate. */
  readonly interval: Interval | null;
  readonly numbers: Numbers | null;
}

/** Where everything stands, in pixels; a column of numbers is given by its right edge. */
export interface Layout {
  readonly rows: readonly LaidOutRow[];
  readonly pooled: Numbers | null;
  readonly prediction: string | null;
  readonly axis: Axis;
  readonly effectLines: readonly string[];
  readonly hasWeights: boolean;
  readonly width: number;
  readonly nameWidth: number;
  readonly countEnds: readonly number[];
  readonly plotLeft: number;
  readonly plotRight: number;
  readonly estimateEnd: number;
  readonly ciEnd: number;
  readonly weightEnd: number;
  /** From the model's scale to pixels. */
  readonly at: (value: number) => number;
}

function rowInterval({ estimate, se }: ForestRow, z: number): Interval | null {
  if (estimate === null || se === null) return null;
  return { estimate, low: estimate - z * se, high: estimate + z * se };
}

function widest(texts: readonly string[], size = FONT, bold = false): number {
  return Math.max(0, ...texts.map((content) => textWidth(content, size, bold)));
}

/** Columns are as wide as their widest entry; only the name of a study is cut, beyond 250 pixels. */
export function layOut(input: ForestInput): Layout {
  const intervals = input.rows.map((row) => rowInterval(row, input.z));
  const drawn = intervals.filter((interval) => interval !== null);
  const axis = makeAxis(
    drawn,
    [
      ...(input.pooled === null
        ? []
        : [input.pooled.estimate, ...input.pooled.ci, ...(input.pooled.prediction ?? [])]),
      ...(input.noEffectLine ? [0] : []),
    ],
    input.isRatio,
  );

  // Decimals that suit the most precise study, so that a column's numbers line up.
  const errors = input.rows.flatMap((row) => row.se ?? []);
  const smallest = errors.length === 0 ? 0.1 : Math.min(...errors);
  const decimals = input.isRatio ? Math.max(2, decimalsFor(smallest, 1)) : decimalsFor(smallest, 2);
  const show = (value: number): string =>
    input.isRatio ? ratio(Math.exp(value), decimals) : fixed(value, decimals);
  const numbers = (estimate: number, low: number, high: number, weight: string): Numbers => ({
    estimate: show(estimate),
    ci: `[${show(low)}, ${show(high)}]`,
    weight,
  });
  const rows = input.rows.map((row, index): LaidOutRow => {
    const interval = intervals[index] ?? null;
    const weight = row.weight === null ? NONE : `${row.weight.toFixed(1)}%`;
    return {
      row,
      interval,
      numbers: interval === null ? null : numbers(interval.estimate, interval.low, interval.high, weight),
    };
  });
  const pooled = input.pooled === null ? null : numbers(input.pooled.estimate, ...input.pooled.ci, '100%');
  const prediction = input.pooled?.prediction == null ? null : numbers(0, ...input.pooled.prediction, '').ci;

  const printed = [...rows.flatMap((row) => row.numbers ?? []), ...(pooled === null ? [] : [pooled])];
  const ciWidth = widest([...printed.map(({ ci }) => ci), prediction ?? ''], FONT, true);
  const numberWidth =
    ciWidth +
    6 +
    widest(
      printed.map(({ estimate }) => estimate),
      FONT,
      true,
    );
  const effectLines = [
    ...wrap(input.effect, Math.max(numberWidth, 190), FONT * 1.1),
    `[${input.interval ?? `${levelPercent(input.level)} CI`}]`,
  ];
  const hasWeights = input.rows.some((row) => row.weight !== null);
  const nameWidth = Math.min(WIDEST_NAME, Math.max(110, widest(input.rows.map((row) => row.study))));

  let x = MARGIN + nameWidth;
  const countEnds = input.columns.map((head, column) => {
    const cells = input.rows.map((row) => row.cells[column] ?? '');
    x += GAP + Math.max(widest([head], FONT, true), widest([input.unit], SMALL), widest(cells));
    return x;
  });
  // A summary's label runs over the count columns, which it leaves empty, but not into the plot.
  const labelWidth = input.pooled === null ? 0 : widest([input.pooled.label], FONT, true);
  const plotLeft = Math.max(x, MARGIN + labelWidth) + GAP;
  const plotRight = plotLeft + PLOT_WIDTH;
  const ciEnd = plotRight + GAP + Math.max(numberWidth, widest(effectLines, FONT, true));
  const weightEnd = hasWeights ? ciEnd + GAP + widest(['Weight'], FONT, true) : ciEnd;
  return {
    rows,
    pooled,
    prediction,
    axis,
    effectLines,
    hasWeights,
    width: Math.ceil(weightEnd + MARGIN),
    nameWidth,
    countEnds,
    plotLeft,
    plotRight,
    estimateEnd: ciEnd - ciWidth - 6,
    ciEnd,
    weightEnd,
    at: (value) => plotLeft + ((value - axis.low) / (axis.high - axis.low)) * PLOT_WIDTH,
  };
}
