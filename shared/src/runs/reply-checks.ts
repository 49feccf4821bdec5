/** Whether a site's reply has the form that its task gives it. */
import type { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '../errors.ts';
import { expandPlan } from '../plan/expand.ts';
import type { WrittenPlan } from '../plan/schema.ts';
import type { ExpandedPlan } from '../plan/types.ts';
import { sameBytes } from '../wire/digest.ts';
import { checkPayload } from '../wire/lengths.ts';
import { agreedLevels } from '../wire/levels.ts';

/** Throws wire/identity unless the reply names the run, analysis, round, plan and roster of its task. */
export function checkHeader(
  header: NonNullable<SiteMessage['header']>,
  asked: CoordinatorMessage['header'],
): void {
  if (
    asked === undefined ||
    header.study !== asked.study ||
    header.analysis !== asked.analysis ||
    header.round !== asked.round ||
    header.attempt !== asked.attempt ||
    !sameBytes(header.run, asked.run) ||
    !sameBytes(header.planDigest, asked.planDigest) ||
    !sameBytes(header.rosterDigest, asked.rosterDigest)
  ) {
    throw new ConcordatError(
      'wire/identity',
      'a reply names another run, round, plan or roster than its task',
    );
  }
}

/** Of one run: the plan is expanded once without levels that are still to be agreed, and once with those that were. */
export class PayloadCheck {
  readonly #written: WrittenPlan;
  #before: ExpandedPlan | null = null;
  #agreed: ExpandedPlan | null = null;

  constructor(written: WrittenPlan) {
    this.#written = written;
  }

  /** Throws as `checkPayload` does. */
  check(
    payload: NonNullable<SiteMessage['payload']>,
    question: CoordinatorMessage['payload'],
    analysis: string,
  ): void {
    if (
      question?.$case === 'stageOneQuestion' ||
      question?.$case === 'entryQuestion' ||
      question?.$case === 'objectiveQuestion'
    ) {
      this.#agreed ??= expandPlan(this.#written, agreedLevels(question.value));
      const asked = this.#agreed.analyses.find(({ id }) => id === analysis) ?? null;
      const length = question.$case === 'objectiveQuestion' ? question.value.length : 0;
      checkPayload(payload, this.#agreed, asked, [], length);
    } else {
      this.#before ??= expandPlan(this.#written);
      const variables = question?.$case === 'factorLevelsQuestion' ? question.value.variables : [];
      checkPayload(payload, this.#before, null, variables);
    }
  }
}
