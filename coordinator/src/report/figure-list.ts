import type { Figure } from './figures.ts';
import { markup, Markup } from './markup.ts';

export function figureList(drawn: readonly Figure[]): Markup[] {
  // The figures are made by this program from escaped parts; they are the one place that skips escaping.
  return drawn.map(
    ({ svg, label }) => markup`<figure tabindex="0" aria-label="${label}">${new Markup(svg)}</figure>`,
  );
}
