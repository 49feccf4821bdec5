import schema from '../../schema/plan.schema.json' with { type: 'json' };
import { checkPlan } from './check.ts';
import { documentReader } from './document.ts';
import type { WrittenPlan } from './schema.ts';

const readPlan = documentReader<WrittenPlan>({
  name: 'plan',
  schema,
  syntaxCode: 'plan/syntax',
  schemaCode: 'plan/schema',
  check: checkPlan,
});

/**
 * Reads a plan's text; `place` names it in faults (its file's name).
 *
 * @throws ConcordatError listing every fault, with code `plan/syntax` where the text is not the YAML that a plan is
 *   written in; otherwise the code that all faults share (`plan/expression`, `plan/term`, `plan/inconsistent`) or, where
 *   they differ or the schema is broken, `plan/schema`
 */
export function parsePlan(text: string, place: string): WrittenPlan {
  return readPlan(text, place);
}
