/**
 * Widths of text in ems for laying out SVG without a renderer. The classes follow DejaVu Sans, the widest of the
 * fonts that the figures' font list can fall back to, so that columns never overlap in a narrower one.
 */
function characterWidth(character: string): number {
  if (character === '\u0300' || /\p{M}/u.test(character)) return 0;
  if (/[iljI.,:;'|!·\u2009]/.test(character)) return 0.34;
  if (/[frt()[\]/\- ]/.test(character)) return 0.42;
  if (/[mwMW%@—…←→]/.test(character)) return 0.98;
  if (/[=<>×−+]/.test(character)) return 0.84;
  if (/[\u1100-\u11ff\u2e80-\uffef]/.test(character) || (character.codePointAt(0) ?? 0) > 0xffff) return 1.05;
  if (/\p{Lu}/u.test(character)) return 0.74;
  return 0.64;
}

/** Width of one line of text in pixels at `size` pixels to the em; bold is wider by a tenth. */
export function textWidth(text: string, size: number, bold = false): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width * size * (bold ? 1.1 : 1);
}

/** The text, or as much of it as fits with an ellipsis. */
export function fit(text: string, width: number, size: number): string {
  if (textWidth(text, size) <= width) return text;
  let kept = '';
  for (const character of text) {
    if (textWidth(`${kept}${character}…`, size) > width) break;
    kept += character;
  }
  return `${kept.trimEnd()}…`;
}

/** Lines no wider than `width`, broken at spaces. */
export function wrap(text: string, width: number, size: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && textWidth(longer, size) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  lines.push(line);
  return lines;
}
