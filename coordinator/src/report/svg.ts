import { markup, type Markup } from './markup.ts';

/**
 * Shapes of a figure. Colours stand in attributes, so that a file looks the same anywhere; every shape has a class,
 * so that a page's style sheet can recolour it for a dark scheme.
 */

/** Coordinates to a hundredth of a pixel, so that the same result gives the same bytes and no 1e-15. */
function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Sizes of the two kinds of text in pixels. */
export const FONT = 13;
export const SMALL = 12;

interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly bold?: boolean;
  readonly muted?: boolean;
  /** The whole text where what is shown is cut. */
  readonly full?: string;
}

export function text(x: number, y: number, content: string, style: TextStyle = {}): Markup {
  const { anchor = 'start', size = FONT, bold = false, muted = false, full = content } = style;
  const look = muted ? markup`class="muted" fill="#57606a"` : markup`class="ink" fill="#1f2328"`;
  const weight = bold ? markup` font-weight="600"` : null;
  const whole = full === content ? null : markup`<title>${full}</title>`;
  return markup`<text x="${px(x)}" y="${px(y)}" font-size="${size}" text-anchor="${anchor}"${weight} ${look}>${whole}${content}</text>`;
}

const STROKES = {
  ink: markup`class="ink-line" stroke="#1f2328" stroke-width="1.4"`,
  rule: markup`class="rule" stroke="#8c959f" stroke-width="1"`,
  dashed: markup`class="rule" stroke="#8c959f" stroke-width="1" stroke-dasharray="3 3"`,
  accent: markup`class="accent-line" stroke="#9a3412" stroke-width="2.4"`,
};

export function line(x1: number, y1: number, x2: number, y2: number, kind: keyof typeof STROKES): Markup {
  return markup`<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" ${STROKES[kind]}/>`;
}

const FILLS = {
  ink: markup`class="ink" fill="#1f2328"`,
  accent: markup`class="accent" fill="#9a3412"`,
};

const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y]) => `${px(x)},${px(y)}`).join(' ');

/** A curve through points, in order. */
export function curve(points: readonly (readonly [number, number])[]): Markup {
  return markup`<polyline points="${path(points)}" class="curve" fill="none" stroke="#2f6690" stroke-width="2.2" stroke-linejoin="round"/>`;
}

/** The area that a closed line surrounds. */
export function band(points: readonly (readonly [number, number])[]): Markup {
  return markup`<polygon points="${path(points)}" class="band" fill="#2f6690" fill-opacity="0.18"/>`;
}

/** An arrowhead with its tip at (x, y), pointing right (1) or left (−1). */
export function arrowhead(x: number, y: number, direction: 1 | -1, kind: keyof typeof FILLS): Markup {
  return markup`<path d="M${px(x)} ${px(y)}l${-7 * direction} -4v8z" ${FILLS[kind]}/>`;
}

export function square(x: number, y: number, side: number): Markup {
  return markup`<rect x="${px(x - side / 2)}" y="${px(y - side / 2)}" width="${px(side)}" height="${px(side)}" class="square" fill="#2f6690"/>`;
}

export function diamond(left: number, middle: number, right: number, y: number): Markup {
  const points = [
    [left, y],
    [middle, y - 7],
    [right, y],
    [middle, y + 7],
  ].map(([a = 0, b = 0]) => `${px(a)},${px(b)}`);
  return markup`<polygon points="${points.join(' ')}" class="diamond" fill="#1f2328"/>`;
}

/** A whole figure with its title and description for those who do not see it; `id` prefixes its element ids. */
export function figure(
  id: string,
  size: { readonly width: number; readonly height: number },
  title: string,
  description: string,
  parts: readonly Markup[],
): string {
  const { width, height } = size;
  return markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${id}-title ${id}-desc" class="forest" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" style="font-variant-numeric:tabular-nums"><title id="${id}-title">${title}</title><desc id="${id}-desc">${description}</desc><rect width="${width}" height="${height}" class="paper" fill="#ffffff"/>${parts}</svg>`
    .text;
}
