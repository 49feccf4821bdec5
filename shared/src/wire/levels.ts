import type { StageOneQuestion } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { Level } from '@concordat/proto/concordat/v1/header.ts';

import { ConcordatError } from '../errors.ts';
import type { Code } from '../plan/types.ts';

export function levelOf(code: Code): Level {
  return {
    code: typeof code === 'number' ? { $case: 'number', value: code } : { $case: 'text', value: code },
  };
}

export function codeOf(level: Level): Code {
  if (level.code === undefined) throw new ConcordatError('wire/malformed', 'a factor level without a code');
  return level.code.value;
}

/** The levels that a question of an analysis brings for the plan's undeclared factors, by variable. */
export function agreedLevels(
  question: Pick<StageOneQuestion, 'agreedLevels'>,
): Readonly<Record<string, readonly Code[]>> {
  return Object.fromEntries(
    question.agreedLevels.map(({ variable, levels }) => [variable, levels.map(codeOf)]),
  );
}
