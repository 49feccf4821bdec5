/** Questions about parameters: the optimiser, driven by the sums that the coordinator tells, asks them; or else nobody honest does. */
import type { ObjectiveQuestion } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { StudyEntry } from '@concordat/shared/one-stage/entry.ts';
import { Replay, type Dishonesty } from '@concordat/shared/one-stage/replay.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { studyEntry, toldQuestion } from '@concordat/shared/wire/one-stage.ts';

import type { Report } from './finding.ts';
import type { LoggedReply, LoggedTask } from './logged-message.ts';

interface HonestQuestion {
  readonly ask: Ask;
  readonly step: number;
}

/** The optimiser of one analysis, as far as it has asked. */
interface Fit {
  readonly spec: OneStageSpec;
  readonly replay: Replay;
}

const WORDS: Readonly<Record<Dishonesty, string>> = {
  'step-out-of-order': 'it is not the next one',
  'entry-missing': 'it does not say what the sites’ entries came to',
  'entry-implausible': 'what it says of the sites’ entries cannot be',
  'sum-missing': 'it does not tell the sum of the answers before it',
  'program-over': 'the optimiser asks nothing more',
  'per-study-answers-are-not-told': 'the optimiser’s next one depends on what no site is told',
  'another-question': 'the optimiser asks another one',
};

/** Of one site's log. */
export class QuestionCheck {
  readonly #report: Report;
  /** By run and analysis: what the site entered with; then the optimiser, or null once a question was not honest. */
  readonly #own = new Map<string, StudyEntry>();
  readonly #fits = new Map<string, Fit | null>();
  /** Honest questions that wait for their answer, by task (hex). */
  readonly #open = new Map<string, HonestQuestion>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** What the site entered an analysis with. */
  entered({ entry, payload }: LoggedReply): void {
    if (payload.$case === 'oneStageEntry')
      this.#own.set(`${entry.run} ${entry.analysis}`, studyEntry(payload.value));
  }

  take(
    { entry, payload, place, task }: LoggedTask,
    plan: ExpandedPlan | null,
    analysis: Analysis | null,
  ): void {
    if (payload.$case !== 'objectiveQuestion' || plan === null || analysis === null) return;
    if (analysis.unsupported !== null) return;
    const key = `${entry.run} ${entry.analysis}`;
    let fit = this.#fits.get(key);
    if (fit === undefined) {
      const spec = oneStageSpec(plan, analysis);
      // Whose entry was withheld or erased cannot hold the coordinator's against it; the optimiser still can.
      fit = { spec, replay: new Replay(spec, this.#own.get(key) ?? null) };
      this.#fits.set(key, fit);
    }
    if (fit === null) return;
    const asked = judge(fit, payload.value);
    if (typeof asked !== 'string') {
      this.#open.set(task, { ask: asked, step: payload.value.step });
      return;
    }
    this.#fits.set(key, null);
    this.#report.find({
      kind: 'question',
      place,
      message: `the coordinator asked at parameters of its own: ${WORDS[asked]} (step ${payload.value.step})`,
    });
  }

  /** The honest question that a task was; null where it was none. */
  answered(task: string): HonestQuestion | null {
    const asked = this.#open.get(task) ?? null;
    this.#open.delete(task);
    return asked;
  }
}

function judge({ replay, spec }: Fit, question: ObjectiveQuestion): Ask | Dishonesty {
  try {
    const asked = replay.next(toldQuestion(question, spec));
    // A sum over one study is that study's own answer.
    return typeof asked === 'string' || replay.entry!.studies > 1 ? asked : { ...asked, gather: 'each' };
  } catch (error) {
    if (error instanceof ConcordatError) return 'another-question';
    throw error;
  }
}
