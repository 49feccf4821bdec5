/** A refusal as it travels. */
import { Objection, type Refusal, type Rule } from '@concordat/proto/concordat/v1/site.ts';

/** `more`: the count, where the site's agreement tells it; a custodian's objection. */
export function refusal(
  rule: Rule,
  threshold: number,
  more: Partial<Pick<Refusal, 'observed' | 'objection'>> = {},
): Refusal {
  return { rule, threshold, observed: undefined, objection: Objection.OBJECTION_UNSPECIFIED, ...more };
}
