/** Questions about parameters: the optimiser, driven by the sums that the coordinator tells, asks them; or else nobody honest does. */
import type { ObjectiveQuestion } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
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

/** What is known of one analysis of a run. */
interface Entered {
  /** What the site entered with; null where that cannot be seen. */
  own: StudyEntry | null;
  /** Null before the first question. */
  fit: Fit | null;
  /** Once a question was not honest, none is. */
  over: boolean;
}

/** Of one site's log. */
export class QuestionCheck {
  readonly #report: Report;
  /** By run, then analysis. */
  readonly #runs = new Map<string, Map<string, Entered>>();
  readonly #closed = new Set<string>();
  /** Honest questions that wait for their answer, by task (hex). */
  readonly #open = new Map<string, HonestQuestion>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** What the site entered an analysis with. */
  entered({ entry, payload }: LoggedReply): void {
    if (payload.$case === 'oneStageEntry') this.#analysis(entry).own = studyEntry(payload.value);
  }

  take(
    { entry, payload, place, task }: LoggedTask,
    plan: ExpandedPlan | null,
    analysis: Analysis | null,
  ): void {
    if (payload.$case !== 'objectiveQuestion' || plan === null || analysis === null) return;
    if (analysis.unsupported !== null) return;
    const entered = this.#analysis(entry);
    if (entered.over) return;
    const asked = this.#closed.has(entry.run ?? '')
      ? 'program-over'
      : judge((entered.fit ??= fitOf(oneStageSpec(plan, analysis), entered.own)), payload.value);
    if (typeof asked !== 'string') {
      this.#open.set(task, { ask: asked, step: payload.value.step });
      return;
    }
    entered.over = true;
    entered.fit = null;
    this.#report.find({
      kind: 'question',
      place,
      message: `the coordinator asked at parameters of its own: ${WORDS[asked]} (step ${payload.value.step})`,
    });
  }

  /** After its end a run asks nothing more: what is kept of its fits would be most of the memory. */
  close(run: string): void {
    this.#closed.add(run);
    this.#runs.delete(run);
  }

  #analysis({ run = '', analysis = '' }: LogEntry): Entered {
    const analyses = this.#runs.get(run) ?? new Map<string, Entered>();
    this.#runs.set(run, analyses);
    const known = analyses.get(analysis) ?? { own: null, fit: null, over: false };
    analyses.set(analysis, known);
    return known;
  }

  /** The honest question that a task was; null where it was none. */
  answered(task: string): HonestQuestion | null {
    const asked = this.#open.get(task) ?? null;
    this.#open.delete(task);
    return asked;
  }
}

/** Where the site's own entry was withheld or erased, the coordinator's is not held against it; the optimiser still is. */
const fitOf = (spec: OneStageSpec, own: StudyEntry | null): Fit => ({ spec, replay: new Replay(spec, own) });

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
