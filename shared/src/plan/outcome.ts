import type { WrittenOutcome } from './schema.ts';
import type { Outcome } from './types.ts';

/** Variables that an outcome reads. */
export function outcomeVariables(outcome: WrittenOutcome): string[] {
  const named = (names: readonly (string | undefined)[]): string[] =>
    names.filter((name) => name !== undefined);
  switch (outcome.kind) {
    case 'continuous':
    case 'ordinal':
      return [outcome.variable];
    case 'binary':
      return named([outcome.variable, outcome.events, outcome.trials]);
    case 'count':
      return named([outcome.variable, outcome.exposure]);
    case 'repeated':
      return [outcome.variable, outcome.subject, outcome.visit];
    case 'time-to-event':
      return named([outcome.time, outcome.event, outcome.entry]);
  }
}

/** The outcome with defaults filled in. */
export function expandOutcome(outcome: WrittenOutcome): Outcome {
  switch (outcome.kind) {
    case 'continuous':
    case 'ordinal':
    case 'repeated':
      return outcome;
    case 'binary':
      return outcome.events !== undefined && outcome.trials !== undefined
        ? { kind: 'binary-grouped', events: outcome.events, trials: outcome.trials }
        : { kind: 'binary', variable: outcome.variable!, event: outcome.event ?? 1 };
    case 'count':
      return { kind: 'count', variable: outcome.variable, exposure: outcome.exposure ?? null };
    case 'time-to-event':
      return {
        kind: 'time-to-event',
        time: outcome.time,
        event: outcome.event,
        entry: outcome.entry ?? null,
      };
  }
}
