import schema from '../../schema/result.schema.json' with { type: 'json' };
import { ConcordatError } from '../errors.ts';
import { schemaCheck } from './document.ts';
import type { Result } from './result-types.ts';

const check = schemaCheck(schema);

/**
 * Asserts that `value` is a result of format 1. JSON has no NaN or Infinity, and neither does this: both are refused.
 * @throws ConcordatError `store/corrupt`, naming every field that is wrong
 */
export function validateResult(value: unknown): asserts value is Result {
  const errors = check(value);
  if (errors.length === 0) return;
  const fields = errors.map((error) => `  ${error.instancePath || '/'} ${error.message ?? ''}`);
  throw new ConcordatError(
    'store/corrupt',
    ['the result does not have the published format:', ...fields].join('\n'),
    {
      place: 'result',
      remedy: 'compare it with shared/schema/result.schema.json; a file made by the program has been changed',
    },
  );
}
