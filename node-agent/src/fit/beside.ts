import { NOTHING_ANSWERED, type Answered } from '../data/crossed.ts';
import type { Ledger } from '../egress/ledger.ts';
import type { Draft, StudyAnswer, StudyQuestion } from './draft.ts';
import type { WorkerPool } from './pool.ts';

type Question = Omit<Extract<StudyQuestion, { kind: 'stage-one' }>, 'kind' | 'answered'>;

/**
 * Asks for a plan's first answers beside all earlier ones, and hands them over in their order. An answer is drafted beside those before it
 * in the plan; where one of them did not leave after all, what comes after it is asked again without it.
 *
 * @param take looks at what a worker answered, and gives its drafts; none: no more is asked
 */
export async function askBeside(
  workers: Pick<WorkerPool, 'ask'>,
  ledger: Pick<Ledger, 'answered' | 'has'> | undefined,
  question: Question,
  take: (answer: Promise<StudyAnswer>) => Promise<readonly Draft[]>,
  deliver: (draft: Draft, index: number) => void,
): Promise<void> {
  const { analyses } = question;
  for (let from = 0; from < analyses.length;) {
    const drafts = await take(ask(workers, ledger, { ...question, analyses: analyses.slice(from) }));
    if (drafts.length === 0) return;
    let next = 0;
    do {
      deliver(drafts[next]!, from + next);
      next++;
    } while (next < drafts.length && (ledger === undefined || allLeft(drafts, next, ledger)));
    from += next;
  }
}

/** Whether a draft is held against nothing that stayed here. */
function allLeft(drafts: readonly Draft[], index: number, ledger: Pick<Ledger, 'has'>): boolean {
  const { evidence } = drafts[index]!;
  return evidence.kind !== 'analysis-set' || (evidence.crossing?.against ?? []).every((id) => ledger.has(id));
}

/** Which rows earlier answers were of is known for the file as it was last; where the worker finds another, it is told again for that one. */
async function ask(
  workers: Pick<WorkerPool, 'ask'>,
  ledger: Pick<Ledger, 'answered'> | undefined,
  question: Question,
): Promise<StudyAnswer> {
  const beside = (answered: Answered): Promise<StudyAnswer> =>
    workers.ask({ kind: 'stage-one', ...question, answered });
  if (ledger === undefined) return beside(NOTHING_ANSWERED);
  const known = ledger.answered(null);
  const answer = await beside(known);
  const members = answer.drafts.flatMap(({ evidence }) =>
    evidence.kind === 'analysis-set' ? (evidence.members ?? []) : [],
  )[0];
  if (members === undefined || known.sets.length === 0 || members.snapshot === known.snapshot) return answer;
  return beside(ledger.answered(members));
}
