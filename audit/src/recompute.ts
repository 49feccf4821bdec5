/**
 * The published result, computed again from the messages of its run: the coordinator's own program is driven with the answers
 * that the transcript holds. What it asks must be what was asked, and what it returns must be what was published, bit for bit.
 */
import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { pathText } from '@concordat/shared/plan/document.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import type { SiteAnswer } from '@concordat/shared/runs/answers.ts';
import { assemble } from '@concordat/shared/runs/assemble.ts';
import { runProgram, type RunOutcome } from '@concordat/shared/runs/program.ts';
import { PayloadCheck } from '@concordat/shared/runs/reply-checks.ts';
import type { RunTask } from '@concordat/shared/runs/rounds.ts';
import { fromHex, sameBytes, sha256 } from '@concordat/shared/wire/digest.ts';
import { planOffer, type PlanSignature } from '@concordat/shared/wire/offers.ts';

import { differences } from './differences.ts';
import { readPlan } from './plans.ts';

/** Where a question stands in a run. */
export interface TaskPlace {
  readonly round: number;
  readonly study: string;
  /** Empty for the whole plan. */
  readonly analysis: string;
}

/** A question that was sent, at the place where the log has it, and what came of it. */
export interface TranscriptTask extends TaskPlace {
  readonly message: CoordinatorMessage;
  /** A reply with the lengths of both encoded `SignedMessage`s, which the result counts. */
  readonly answer: Exclude<SiteAnswer, { kind: 'absent' }>;
}

/** A run as a log holds it. */
export interface Transcript {
  /** Hex. */
  readonly run: string;
  /** The plan file as written. */
  readonly plan: string;
  /** Of the statistician who asks; null where the plan is not signed. */
  readonly signature: PlanSignature | null;
  readonly roster: Roster;
  /** Every question of the run that was sent, in the log's order. */
  readonly tasks: readonly TranscriptTask[];
}

export interface RecomputeFinding {
  readonly kind:
    | 'question-differs'
    /** The run needs it, and the log lacks it. */
    | 'question-missing'
    /** The log has it, and the run never asks it. */
    | 'question-unasked'
    /** A reply that counted, and that the plan's form rules out. */
    | 'answer-invalid'
    | 'result-differs'
    | 'not-replayable';
  /** Null where it is not about one question. */
  readonly at: TaskPlace | null;
  /** Of the question's or the result's first field that differs; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

export interface Recomputed {
  readonly findings: readonly RecomputeFinding[];
  /** What the messages give, with the published times and software (empty where nothing is published); null where they give none. */
  readonly result: Result | null;
}

/** @param published as `validateResult` accepted it; null where only the questions are held against the answers */
export function recompute(transcript: Transcript, published: Result | null): Recomputed {
  const replay = new RunReplay(transcript);
  let outcome: RunOutcome;
  try {
    outcome = replay.outcome();
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    const message = `the run cannot be replayed: ${error.message}`;
    return {
      findings: [...replay.findings, { kind: 'not-replayable', at: null, path: '', message }],
      result: null,
    };
  }
  const { started, finished, software } = published?.run ?? { started: '', finished: '', software: '' };
  // As the file would hold it: JSON has neither -0 nor what is undefined.
  const result = JSON.parse(
    JSON.stringify(assemble(outcome, transcript.plan, { id: transcript.run, started, finished, software })),
  ) as Result;
  const differing = differences(result, published ?? result).map(
    ({ path, expected, found }): RecomputeFinding => {
      const place = pathText(path);
      const message = `${place}: published ${found}, messages give ${expected}`;
      return { kind: 'result-differs', at: null, path: place, message };
    },
  );
  return { findings: [...replay.findings, ...differing], result };
}

class RunReplay {
  readonly findings: RecomputeFinding[] = [];
  readonly #transcript: Transcript;
  /** What the headers of all questions share. */
  readonly #common: {
    readonly run: Uint8Array;
    readonly planDigest: Uint8Array;
    readonly rosterDigest: Uint8Array;
  };
  /** Questions that the program has not asked yet. */
  readonly #open = new Map<string, TranscriptTask>();

  constructor(transcript: Transcript) {
    const { run, plan, roster, tasks } = transcript;
    this.#transcript = transcript;
    this.#common = {
      run: fromHex(run),
      planDigest: sha256(plan),
      rosterDigest: sha256(Roster.encode(roster).finish()),
    };
    for (const task of tasks) {
      if (this.#open.has(keyOf(task)))
        this.#report('question-unasked', task, '', 'a second question in the place of the first');
      else this.#open.set(keyOf(task), task);
    }
  }

  outcome(): RunOutcome {
    const { plan, roster, signature } = this.#transcript;
    const written = readPlan(plan);
    const checks = new PayloadCheck(written);
    const program = runProgram({
      plan: written,
      studies: roster.sites.map(({ study }) => study),
      offer: { $case: 'planOffer', value: planOffer(plan, roster, signature) },
    });
    let step = program.next();
    while (step.done !== true) {
      const { round, tasks } = step.value;
      step = program.next(tasks.map((task) => this.#answer(round, task, checks)));
    }
    for (const task of this.#open.values())
      this.#report('question-unasked', task, '', 'a question that the run never asks');
    return step.value;
  }

  #answer(round: number, asked: RunTask, checks: PayloadCheck): SiteAnswer {
    const at = { round, study: asked.study, analysis: asked.analysis };
    const task = this.#open.get(keyOf(at));
    if (task === undefined) {
      this.#report('question-missing', at, '', 'the run asks this, and no such question was sent');
      return { kind: 'unreachable' };
    }
    this.#open.delete(keyOf(at));
    this.#compare(at, asked.payload, task.message);
    const { answer } = task;
    if (answer.kind !== 'reply') return answer;
    try {
      checks.check(answer.payload, asked.payload, asked.analysis);
      return answer;
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      this.#report(
        'answer-invalid',
        at,
        '',
        `an answer counted that cannot answer the question: ${error.message}`,
      );
      return { kind: 'invalid', code: error.code };
    }
  }

  #compare(at: TaskPlace, payload: RunTask['payload'], sent: CoordinatorMessage): void {
    const message: CoordinatorMessage = {
      header: {
        ...this.#common,
        ...at,
        attempt: 0,
        inReplyTo: new Uint8Array(0),
        // Where the coordinator's log stood then: a matter of the log, not of the run.
        checkpoint: sent.header?.checkpoint,
      },
      payload,
    };
    const bytes = CoordinatorMessage.encode(message).finish();
    // Almost always they are the same; what differs is looked for only where they are not.
    if (sameBytes(bytes, CoordinatorMessage.encode(sent).finish())) return;
    const expected = CoordinatorMessage.decode(bytes);
    const [first] = differences(expected, sent);
    if (first === undefined) return;
    const path = pathText(first.path);
    const what =
      payload.$case === 'objectiveQuestion'
        ? 'a question that no honest optimiser would have asked'
        : 'not the question that the run asks here';
    this.#report(
      'question-differs',
      at,
      path,
      `${what}: ${path} was ${first.found}, messages give ${first.expected}`,
    );
  }

  #report(kind: RecomputeFinding['kind'], task: TaskPlace, path: string, message: string): void {
    const { round, study, analysis } = task;
    const of = analysis === '' ? '' : `, analysis ${analysis}`;
    this.findings.push({
      kind,
      at: { round, study, analysis },
      path,
      message: `round ${round}, study ${study}${of}: ${message}`,
    });
  }
}

const keyOf = ({ round, study, analysis }: TaskPlace): string => JSON.stringify([round, study, analysis]);
