import { ConcordatError } from '../errors.ts';
import { isVariableName } from './names.ts';
import type { Basis, Code, DesignColumn } from './types.ts';

/**
 * Terms of a model, as `model.adjust` lists them:
 *
 *   term   = factor { ":" factor }                      a product
 *   factor = variable | "center(" variable ")" | "factor(" variable ")"
 *          | "stratified(" variable ")"             one-stage: each study has its own coefficient
 *          | "rcs(" variable "," number-of-knots ")" | "rcs(" variable ", [" knot "," … "])"
 */
export type TermFactor =
  | {
      readonly kind: 'linear';
      readonly variable: string;
      readonly centred: boolean;
      readonly stratified?: true;
    }
  | { readonly kind: 'factor'; readonly variable: string }
  /** `knots`: in the variable's unit, increasing; or only their number. */
  | { readonly kind: 'rcs'; readonly variable: string; readonly knots: readonly number[] | number };

export type Term = readonly TermFactor[];

const MINIMUM_KNOTS = 3;
const MAXIMUM_KNOTS = 10;

const CALL = /^(factor|center|rcs|stratified)\s*\(\s*([^,()]*?)\s*(?:,\s*([^()]*?)\s*)?\)$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** @throws ConcordatError `plan/term` */
export function parseTerm(text: string, place: string): Term {
  const fail = (message: string, remedy: string): never => {
    throw new ConcordatError('plan/term', message, { place, remedy });
  };
  const variable = (name: string): string =>
    isVariableName(name)
      ? name
      : fail(
          `\`${name}\` is not a variable's name`,
          'terms are `x`, `factor(x)`, `center(x)`, `stratified(x)`, `rcs(x, [k1, k2, k3])` and products `a:b` of these; a column with another name is renamed by the harmonisation map',
        );

  return text.split(':').map((part): TermFactor => {
    const source = part.trim();
    const call = CALL.exec(source);
    if (call === null) {
      if (source.startsWith('rcs(')) {
        fail(
          `\`${text}\` breaks off`,
          'put the whole term in quotes, or its comma ends it: `"rcs(x, [k1, k2, k3])"`',
        );
      }
      return { kind: 'linear', variable: variable(source), centred: false };
    }
    const [, kind, name, argument] = call;
    if (kind === 'rcs') return { kind, variable: variable(name!), knots: parseKnots(argument, fail) };
    if (argument !== undefined) fail(`\`${kind}\` takes one variable`, `write \`${kind}(${name})\``);
    if (kind === 'factor') return { kind, variable: variable(name!) };
    // Centred within the study, so that a study's own slope does not move its intercept.
    const linear = { kind: 'linear', variable: variable(name!), centred: true } as const;
    return kind === 'stratified' ? { ...linear, stratified: true } : linear;
  });
}

/** The study's own coefficients: a term of which any factor is `stratified(x)`. */
export const isStratified = (term: Term): boolean =>
  term.some((factor) => factor.kind === 'linear' && factor.stratified === true);

function parseKnots(
  argument: string | undefined,
  fail: (message: string, remedy: string) => never,
): readonly number[] | number {
  const remedy = 'write the knots as `rcs(x, [k1, k2, k3])`, in the variable’s own unit';
  const list = /^\[(.*)\]$/.exec(argument ?? '');
  const parts = (list?.[1] ?? argument ?? '').split(',').map((part) => part.trim());
  if (!parts.every((part) => NUMBER.test(part))) return fail('the spline’s knots are not numbers', remedy);
  const knots = list === null && parts.length === 1 ? Number(parts[0]) : parts.map(Number);
  const fault = knotsFault(knots);
  return fault === null && (list !== null || parts.length === 1)
    ? knots
    : fail(fault ?? 'knots stand in brackets', remedy);
}

/** What is wrong with knots (or their number), or null. */
export function knotsFault(knots: readonly number[] | number): string | null {
  const count = typeof knots === 'number' ? knots : knots.length;
  if (!Number.isInteger(count) || count < MINIMUM_KNOTS || count > MAXIMUM_KNOTS) {
    return `a spline has ${MINIMUM_KNOTS} to ${MAXIMUM_KNOTS} knots`;
  }
  if (typeof knots === 'number') return null;
  const increasing = knots.every((knot, i) => Number.isFinite(knot) && (i === 0 || knot > knots[i - 1]!));
  return increasing ? null : 'the knots do not increase';
}

/** Named knots, or as many stand-ins: for the names and number of a spline's columns only. */
const namedKnots = (knots: readonly number[] | number): readonly number[] =>
  typeof knots === 'number' ? Array.from({ length: knots }, (_, i) => i) : knots;

/** A column of a term before it has a role. */
export type TermColumn = Omit<DesignColumn, 'role'>;

/**
 * Columns of one factor. `levels`: the reference first, which has no column.
 * `centred` subtracts the study's mean from each.
 */
export function factorColumns(factor: TermFactor, centred: boolean, levels: readonly Code[]): TermColumn[] {
  const { variable } = factor;
  switch (factor.kind) {
    case 'linear':
      return [
        {
          term:
            factor.stratified === true
              ? `stratified(${variable})`
              : factor.centred
                ? `center(${variable})`
                : variable,
          product: [{ kind: 'linear', variable, centred: centred || factor.centred }],
        },
      ];
    case 'factor':
      return levels.slice(1).map((level) => ({
        term: `factor(${variable})${level}`,
        product: [{ kind: 'level', variable, level, centred }],
      }));
    case 'rcs': {
      const knots = namedKnots(factor.knots);
      return knots.slice(1).map((_, index) => ({
        term: `rcs(${variable})${index + 1}`,
        product: [{ kind: 'rcs', variable, knots, index, centred }],
      }));
    }
  }
}

/** Products of columns, the first list varying fastest (as R orders an interaction of factors). */
export function productColumns(left: readonly TermColumn[], right: readonly TermColumn[]): TermColumn[] {
  return right.flatMap((b) =>
    left.map((a) => ({ term: `${a.term}:${b.term}`, product: [...a.product, ...b.product] })),
  );
}

/** Equal for bases that span the same column next to an intercept (or a Cox baseline): centring is left out. */
export function basisKey(basis: Basis): string {
  switch (basis.kind) {
    case 'intercept':
      return 'intercept';
    case 'treatment':
      return `treatment ${basis.arm}`;
    case 'visit':
      return `visit ${basis.visit}`;
    case 'study-mean':
      return `study mean of ${basisKey(basis.of)}`;
    case 'linear':
      return `linear ${basis.variable}`;
    case 'level':
      return `level ${basis.variable} ${basis.level}`;
    case 'rcs':
      return basis.index === 0
        ? `linear ${basis.variable}`
        : `rcs ${basis.variable} ${basis.knots.join(' ')} ${basis.index}`;
  }
}
