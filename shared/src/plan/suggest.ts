/** Edit distance (insertions, deletions, substitutions, transpositions of neighbours). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(substitution, previous[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, before[j - 2]! + 1);
      }
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

const fold = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '');

/** The one of `known` that `written` was probably meant to be, or null: near in spelling, or the beginning of the other. */
export function nearest(written: string, known: readonly string[]): string | null {
  const word = fold(written).slice(0, 64);
  const ranked = known
    .map((name) => ({ name, away: distance(word, fold(name)) }))
    .toSorted((a, b) => a.away - b.away);
  const best = ranked[0];
  if (best !== undefined && best.away <= Math.max(1, Math.floor(best.name.length / 3))) return best.name;
  const begins = (long: string, short: string): boolean => short.length >= 3 && long.startsWith(short);
  return known.find((name) => begins(fold(name), word) || begins(word, fold(name))) ?? null;
}

/** `a`, `b` or `c`. */
export function oneOf(known: readonly unknown[], word = 'or'): string {
  const quoted = known.map((name) => `\`${String(name)}\``);
  if (quoted.length < 2) return quoted.join('');
  return `${quoted.slice(0, -1).join(', ')} ${word} ${quoted[quoted.length - 1]}`;
}

/** A remedy for a name that is not known. */
export function suggestion(written: string, known: readonly string[]): string {
  const near = nearest(written, known);
  return near === null ? `use ${oneOf(known)}` : `did you mean \`${near}\`?`;
}
