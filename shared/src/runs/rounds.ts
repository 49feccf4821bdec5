/** What a run asks at a time, and what comes back. */
import type { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';

import type { SiteAnswer } from './answers.ts';

export interface RunTask {
  readonly study: string;
  /** Empty for the whole plan. */
  readonly analysis: string;
  readonly payload: NonNullable<CoordinatorMessage['payload']>;
}

export interface Round {
  readonly round: number;
  readonly name: 'offer' | 'factor levels' | 'stage one' | 'one stage' | 'close';
  readonly tasks: readonly RunTask[];
}

/** Answers in the order of the round's tasks. */
export type RoundAnswers = readonly SiteAnswer[];
