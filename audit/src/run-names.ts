/** Names of parameters, measures and plans of the runs in a log, learnt from its questions in their order. */
import type { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import { measureOf } from '@concordat/shared/runs/results.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';

/** What the numbers of an analysis are called. */
export interface Naming {
  /** Names of the parameters, in the plan's order; none where the plan does not tell. */
  readonly terms: readonly string[];
  /** What the treatment's coefficient measures, e.g. `log odds ratio`; null where the plan does not tell. */
  readonly measure: string | null;
}

const NO_NAMES: Naming = { terms: [], measure: null };

export class RunNames {
  readonly #plans = new Map<string, WrittenPlan>();
  /** By run and analysis. */
  readonly #names = new Map<string, Naming>();

  take({ header, payload }: CoordinatorMessage): void {
    if (header === undefined || payload === undefined) return;
    const run = toHex(header.run);
    if (payload.$case === 'planOffer') {
      if (this.#plans.has(run)) return;
      const plan = quietly(() => parsePlan(payload.value.plan, 'the plan'));
      if (plan !== null) this.#plans.set(run, plan);
      return;
    }
    if (!('agreedLevels' in payload.value)) return;
    const question = payload.value;
    const key = keyOf(run, header.analysis);
    const written = this.#plans.get(run);
    if (written === undefined || this.#names.has(key)) return;
    this.#names.set(key, quietly(() => namesIn(written, question, header.analysis)) ?? NO_NAMES);
  }

  of(run: string | undefined, analysis: string | undefined): Naming {
    return this.#names.get(keyOf(run, analysis)) ?? NO_NAMES;
  }

  /** Name that a run's plan gives itself; null where the log does not hold the offer. */
  plan(run: string | undefined): string | null {
    return this.#plans.get(run ?? '')?.id ?? null;
  }
}

const keyOf = (run = '', analysis = ''): string => `${run} ${analysis}`;

function namesIn(written: WrittenPlan, question: Parameters<typeof agreedLevels>[0], id: string): Naming {
  const plan = expandPlan(written, agreedLevels(question));
  const analysis = plan.analyses.find((candidate) => candidate.id === id);
  if (analysis === undefined || analysis.unsupported !== null) return NO_NAMES;
  return { terms: parameterTerms(plan, analysis), measure: measureOf(plan, analysis) };
}

/** A plan that this version cannot read names nothing, and is shown all the same. */
function quietly<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
