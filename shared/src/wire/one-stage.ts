/** Questions and entries of one-stage analyses, between their wire form and the one that the optimisers use. */
import {
  Objective,
  type Entry as WireEntry,
  type ObjectiveQuestion,
} from '@concordat/proto/concordat/v1/coordinator.ts';
import type { OneStageEntry } from '@concordat/proto/concordat/v1/site.ts';

import { ConcordatError } from '../errors.ts';
import type { StudyEntry } from '../one-stage/entry.ts';
import type { ToldQuestion } from '../one-stage/replay.ts';
import type { Ask, Entry, OneStageSpec } from '../one-stage/types.ts';

const WIRE: Readonly<Record<Ask['objective'], Objective>> = {
  'log-likelihood': Objective.OBJECTIVE_LOG_LIKELIHOOD,
  'laplace-log-likelihood': Objective.OBJECTIVE_LAPLACE_LOG_LIKELIHOOD,
  'sufficient-statistics': Objective.OBJECTIVE_SUFFICIENT_STATISTICS,
  'generalised-least-squares': Objective.OBJECTIVE_GENERALISED_LEAST_SQUARES,
  'firth-score': Objective.OBJECTIVE_FIRTH_SCORE,
  'risk-sets': Objective.OBJECTIVE_RISK_SETS,
  'proportional-hazards': Objective.OBJECTIVE_PROPORTIONAL_HAZARDS,
  'study-effects': Objective.OBJECTIVE_STUDY_EFFECTS,
  'expected-information': Objective.OBJECTIVE_EXPECTED_INFORMATION,
};

export function objectiveQuestion(
  ask: Ask,
  step: number,
  entry: Entry | null,
  sum: Float64Array,
  agreedLevels: ObjectiveQuestion['agreedLevels'],
): ObjectiveQuestion {
  return {
    agreedLevels: [...agreedLevels],
    step,
    objective: WIRE[ask.objective],
    theta: [...ask.theta],
    order: ask.order,
    length: ask.length,
    entry: entry === null ? undefined : wireEntry(entry),
    sum: [...sum],
  };
}

function wireEntry({ studies, n, scaling, start, sd }: Entry): WireEntry {
  return {
    studies,
    participants: n,
    centre: [...scaling.centre],
    scale: [...scaling.scale],
    start: [...start],
    deviations: [...sd],
  };
}

/** Throws `wire/unknown-field` for an objective that this version does not know. */
export function toldQuestion(question: ObjectiveQuestion, spec: OneStageSpec): ToldQuestion {
  const objective = (Object.keys(WIRE) as Ask['objective'][]).find(
    (name) => WIRE[name] === question.objective,
  );
  const { order, entry } = question;
  if (objective === undefined || (order !== 0 && order !== 1 && order !== 2)) {
    throw new ConcordatError('wire/unknown-field', 'a question asks for what this version does not know', {
      remedy: 'both sides must run compatible versions',
    });
  }
  return {
    step: question.step,
    ask: { objective, theta: Float64Array.from(question.theta), order, length: question.length },
    entry:
      entry === undefined
        ? null
        : {
            studies: entry.studies,
            n: entry.participants,
            scaling: {
              centre: Float64Array.from(entry.centre),
              scale: Float64Array.from(entry.scale),
              intercept: spec.intercept,
            },
            start: Float64Array.from(entry.start),
            sd: Float64Array.from(entry.deviations),
          },
    sum: Float64Array.from(question.sum),
  };
}

export function studyEntry(message: OneStageEntry): StudyEntry {
  let participants = 0;
  for (const count of message.counts?.participants ?? []) participants += count;
  return {
    participants,
    means: Float64Array.from(message.means),
    deviations: Float64Array.from(message.deviations),
    own:
      message.estimable.length === 0
        ? null
        : {
            estimable: message.estimable,
            estimates: Float64Array.from(message.estimates),
            vcov: Float64Array.from(message.vcov),
          },
  };
}
