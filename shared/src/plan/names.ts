/**
 * Names in a plan. A variable is a word that the term and expression languages can read; a column with any other
 * name is brought in under a new one by the study's harmonisation map.
 */
import { ConcordatError } from '../errors.ts';

/** Words of the expression language, and names that JavaScript objects already have. */
const RESERVED = [
  'and',
  'or',
  'not',
  'in',
  'missing',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'isPrototypeOf',
  'propertyIsEnumerable',
  'prototype',
  'toLocaleString',
  'toString',
  'valueOf',
] as const;

const reserved = `(?!(?:${RESERVED.join('|')})$)`;

/** A variable's name: a letter or `_`, then letters, digits, `_` and `.`; at most 64 characters. */
export const VARIABLE_PATTERN = `^${reserved}[\\p{L}_][\\p{L}\\p{N}_.]{0,63}$`;

/** File names on Windows that open devices: ids become file names of figures and logs. */
const devices =
  '(?!(?:[cC][oO][nN]|[pP][rR][nN]|[aA][uU][xX]|[nN][uU][lL]|(?:[cC][oO][mM]|[lL][pP][tT])[0-9])$)';

/** The id of a plan or analysis: letters, digits and inner `.`, `_`, `-`; not digits alone; at most 64 characters. */
export const ID_PATTERN = `^${reserved}${devices}(?![0-9]+$)[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`;

const VARIABLE = new RegExp(VARIABLE_PATTERN, 'u');

export const isVariableName = (text: string): boolean => VARIABLE.test(text);

/** What logs call the other side of every site: no study can be told from it that has the name. */
const RESERVED_STUDY = 'coordinator';

/** @throws ConcordatError `config/invalid` where no site can have the study id */
export function refuseReservedStudy(study: string, place: string): void {
  if (study.toLowerCase() !== RESERVED_STUDY) return;
  throw new ConcordatError(
    'config/invalid',
    `no study can be called ${study}: logs name the coordinator so`,
    {
      place,
      remedy: 'give the study another id',
    },
  );
}
