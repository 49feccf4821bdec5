/** Numbers as journals print them: a typographic minus, sensible digits, and an en dash for what was not computed. */

export const NONE = '–';
const MINUS = '−';
const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** Decimals after which a value with this standard error still has `digits` digits of it, from 0 to 8. */
export function decimalsFor(se: number, digits: number): number {
  if (!(se > 0) || !Number.isFinite(se)) return digits;
  return Math.min(8, Math.max(0, digits - 1 - Math.floor(Math.log10(se))));
}

/** `10⁻⁵`. */
export function powerOfTen(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]);
  return `10${exponent < 0 ? '⁻' : ''}${digits.join('')}`;
}

function scientific(value: number): string {
  const [mantissa = '', exponent = '0'] = Math.abs(value).toExponential(1).split('e');
  return `${value < 0 ? MINUS : ''}${mantissa} × ${powerOfTen(Number(exponent))}`;
}

/** Fixed decimals; a value that would print as zero with its sign lost, or as a row of digits, is scientific. */
export function fixed(value: number | null | undefined, decimals: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (Math.abs(value) >= 1e7) return scientific(value);
  const text = Math.abs(value).toFixed(decimals);
  const isZero = Number(text) === 0;
  return value < 0 && !isZero ? MINUS + text : text;
}

/** A ratio (hazard ratio, odds ratio, …): never rounded to 0, and no decimals that only look exact. */
export function ratio(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return NONE;
  if (value === 0 || value < 1e-4 || value >= 1e5) return value > 0 ? scientific(value) : NONE;
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(Math.min(decimals, 1));
  return value.toFixed(Math.max(decimals, -Math.floor(Math.log10(value))));
}

/** `significant` digits, without an exponent between 0.0001 and a million. */
export function significant(value: number | null | undefined, digits: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return scientific(value);
  return fixed(value, Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
}

/** Two decimals from 0.1, three below, and `<0.001`; never `0` and never `1`. */
export function pValue(p: number | null | undefined): string {
  if (p === null || p === undefined || !Number.isFinite(p)) return NONE;
  if (p < 0.001) return '<0.001';
  if (p > 0.99) return '>0.99';
  return p.toFixed(p < 0.0995 ? 3 : 2);
}

/** `p = 0.04` or `p < 0.001`. */
export function pStatement(p: number | null | undefined): string {
  const text = pValue(p);
  return /^[<>]/.test(text) ? `p ${text[0]} ${text.slice(1)}` : `p = ${text}`;
}

export function percent(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value) ? NONE : `${fixed(value, 1)}%`;
}

/** 12,345: groups of three, as counts of people are printed. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return fixed(value, Number.isInteger(value) ? 0 : 1).replaceAll(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Degrees of freedom: whole where they are whole. */
export function degrees(df: number | null | undefined): string {
  return fixed(df, df != null && Number.isInteger(df) ? 0 : 1);
}

/** 0.95 → `95%`, 0.975 → `97.5%`. */
export function levelPercent(level: number): string {
  return `${Number((level * 100).toPrecision(6))}%`;
}

/** `1 trial`, `2 trials`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
