import { ConcordatError } from '../errors.ts';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import type { WrittenPlan } from '../plan/schema.ts';
import { sha256, toHex } from '../wire/digest.ts';

/**
 * Digests (hex) of what a plan's analyses ask of records, each without its name and how results are pooled: the same
 * question in a plan with another title, or among other analyses, has the same one.
 */
export function askedBy(written: WrittenPlan): readonly string[] {
  const { analyses, population, treatment, outcome, levels, participants } = expandPlan(written);
  return analyses.map((analysis) =>
    toHex(
      sha256(
        JSON.stringify([
          population,
          treatment,
          outcome,
          levels,
          participants,
          { ...analysis, id: '', pool: null },
        ]),
      ),
    ),
  );
}

/** The same of a plan's text; none where it is no plan. */
export function askedIn(text: string): readonly string[] {
  try {
    return askedBy(parsePlan(text, 'the plan'));
  } catch (error) {
    if (error instanceof ConcordatError) return [];
    throw error;
  }
}
