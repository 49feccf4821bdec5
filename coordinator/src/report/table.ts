import { markup, type Markup } from './markup.ts';

/** A table that scrolls by itself where the screen is narrower than it is. */
export function table(
  caption: string,
  heads: readonly Markup[],
  body: readonly Markup[],
  notes: Markup | null = null,
): Markup {
  return markup`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table><caption>${caption}</caption><thead><tr>${[
    ...heads,
  ]}</tr></thead><tbody>${[...body]}</tbody></table></div>${notes}`;
}

/** The head of a column. */
export function head(text: string, kind: 'text' | 'number' = 'number'): Markup {
  return markup`<th scope="col" class="${kind}">${text}</th>`;
}

export function cell(text: string): Markup {
  return markup`<td class="number">${text}</td>`;
}

/** The head of a row, or of `rows` rows: the label, and under it the term as result.json has it. */
export function rowHead(label: string, term: string | null = null, rows = 1): Markup {
  // A term may be long: it may break after its own marks and nowhere else.
  const code =
    term === null || term === label
      ? null
      : markup`<br><code>${term.split(/(?<=[:. ])/).map((part) => markup`${part}<wbr>`)}</code>`;
  return markup`<th scope="${rows === 1 ? 'row' : 'rowgroup'}" rowspan="${rows}">${label}${code}</th>`;
}
