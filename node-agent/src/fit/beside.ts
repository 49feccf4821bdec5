import { crossedBy, NOTHING_ANSWERED, type Answered } from '../data/crossed.ts';
import type { Ledger } from '../egress/ledger.ts';
import type { StudyAnswer, StudyQuestion } from './draft.ts';
import type { WorkerPool } from './pool.ts';

/**
 * Asks for a plan's first answers beside the earlier ones that are linked with them. Which rows those were is known for the file as it was
 * last; where the worker finds another, it is told again for that one.
 */
export async function askBeside(
  workers: Pick<WorkerPool, 'ask'>,
  ledger: Pick<Ledger, 'answered'> | undefined,
  question: Omit<Extract<StudyQuestion, { kind: 'stage-one' }>, 'kind' | 'answered'>,
): Promise<StudyAnswer> {
  const ask = (answered: Answered): Promise<StudyAnswer> =>
    workers.ask({ kind: 'stage-one', ...question, answered });
  if (ledger === undefined) return ask(NOTHING_ANSWERED);
  const crossed = question.plan.analyses
    .filter(({ id }) => question.analyses.includes(id))
    .map((analysis) => crossedBy(question.plan, analysis));
  const known = ledger.answered(crossed, null);
  const answer = await ask(known);
  const members = answer.drafts.flatMap(({ evidence }) =>
    evidence.kind === 'analysis-set' ? (evidence.members ?? []) : [],
  )[0];
  if (members === undefined || known.sets.length === 0 || members.snapshot === known.snapshot) return answer;
  return ask(ledger.answered(crossed, members));
}
