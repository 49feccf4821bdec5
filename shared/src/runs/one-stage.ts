/**
 * One one-stage analysis of a run: from the sites' entries through the optimiser's questions to its entry in
 * result.json. Pure: driven with the same answers it asks the same questions and gives the same result.
 */
import type { FactorLevelList } from '@concordat/proto/concordat/v1/header.ts';
import { ConcordatError } from '../errors.ts';
import { ringSum } from '../numerics/ring.ts';
import { combineEntries } from '../one-stage/entry.ts';
import { oneStageModels } from '../one-stage/registry.ts';
import { oneStageSpec } from '../one-stage/spec.ts';
import type { Ask, Entry, OneStageFit, OneStageSpec, Program } from '../one-stage/types.ts';
import type { OneStageResult, Reason } from '../plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '../plan/types.ts';
import { objectiveQuestion, studyEntry } from '../wire/one-stage.ts';

import { missing, type SiteAnswer } from './answers.ts';
import { eventsOf, failedOneStage, FAILURES, oneStageResult, type FitTraffic } from './one-stage-results.ts';
import type { RoundAnswers, RunTask } from './rounds.ts';
import type { StudyAnswer } from './results.ts';

export class OneStageRun {
  readonly analysis: Analysis;
  readonly #plan: ExpandedPlan;
  readonly #agreedLevels: FactorLevelList[];
  readonly #entries: readonly StudyAnswer[];
  /** Studies that take part, in the order of their ids, so that the roster's order changes no bit of a number. */
  readonly #studies: readonly string[];
  readonly #spec: OneStageSpec;
  readonly #entry: Entry | null = null;
  readonly #program: Program | null = null;
  readonly #traffic: { up: number; down: number } = { up: 0, down: 0 };
  #step = 0;
  #ask: Ask | null = null;
  #sum: Float64Array = new Float64Array(0);
  #fit: OneStageFit | null = null;
  #failure: { readonly status: 'failed' | 'refused'; readonly reason: Reason } | null = null;

  constructor(
    plan: ExpandedPlan,
    analysis: Analysis,
    entries: readonly StudyAnswer[],
    agreedLevels: FactorLevelList[],
  ) {
    this.analysis = analysis;
    this.#plan = plan;
    this.#agreedLevels = agreedLevels;
    this.#entries = entries;
    this.#spec = oneStageSpec(plan, analysis);
    const taking = entries
      .flatMap(({ study, answer }) =>
        answer.kind === 'reply' && answer.payload.$case === 'oneStageEntry'
          ? [{ study, entry: studyEntry(answer.payload.value) }]
          : [],
      )
      .toSorted((a, b) => (a.study < b.study ? -1 : 1));
    this.#studies = taking.map(({ study }) => study);
    const needed = Math.max(1, plan.minimumStudies);
    if (taking.length < needed) {
      const refused = entries.filter(({ answer }) => missingStatus(answer) === 'refused').length;
      this.#failure = {
        status: refused > 0 && taking.length + refused >= needed ? 'refused' : 'failed',
        reason: {
          code: 'too-few-studies',
          message: `${taking.length} of ${entries.length} studies took part; the plan asks for at least ${needed}`,
        },
      };
      return;
    }
    if (this.#spec.kind === 'likelihood' && eventsOf({ plan, entries })?.events === 0) {
      this.#failure = { status: 'failed', reason: { code: 'no-events', message: FAILURES['no-events'] } };
      return;
    }
    this.#entry = combineEntries(
      this.#spec,
      taking.map(({ entry }) => entry),
    );
    this.#program = oneStageModels[this.#spec.kind].program(this.#spec, this.#entry);
    this.#advance(() => this.#program!.next());
  }

  get finished(): boolean {
    return this.#ask === null;
  }

  tasks(): readonly RunTask[] {
    if (this.#ask === null) return [];
    const value = objectiveQuestion(
      this.#ask,
      this.#step,
      this.#step === 1 ? this.#entry : null,
      this.#sum,
      this.#agreedLevels,
    );
    return this.#studies.map((study) => ({
      study,
      analysis: this.analysis.id,
      payload: { $case: 'objectiveQuestion', value },
    }));
  }

  /** Takes its answers from a round's, which begin at `from`; returns where the next analysis's begin. */
  take(answers: RoundAnswers, from: number): number {
    const ask = this.#ask!;
    const own = answers.slice(from, from + this.#studies.length);
    const vectors = own.map((answer, i) => {
      if (answer.kind === 'reply') {
        this.#traffic.up += answer.bytes?.up ?? 0;
        this.#traffic.down += answer.bytes?.down ?? 0;
        if (answer.payload.$case === 'objectiveValue') return Float64Array.from(answer.payload.value.values);
        // What a study keeps of itself is missing from the result, and stops nothing.
        if (ask.objective === 'study-effects' && answer.payload.$case === 'refusal')
          return new Float64Array(0);
      }
      this.#lost(this.#studies[i]!, answer);
      return null;
    });
    if (this.#failure === null) {
      const given = vectors as readonly Float64Array[];
      this.#advance(() => {
        this.#sum = ask.gather === 'sum' ? ringSum(given) : new Float64Array(0);
        return this.#program!.next(ask.gather === 'sum' ? [this.#sum] : given);
      });
    } else this.#ask = null;
    return from + this.#studies.length;
  }

  result(): OneStageResult {
    const traffic: FitTraffic = { bytesUp: this.#traffic.up, bytesDown: this.#traffic.down };
    const input = {
      plan: this.#plan,
      analysis: this.analysis,
      entries: this.#entries,
      studies: this.#studies,
      scale: this.#entry?.scaling.scale ?? null,
    };
    return this.#fit === null || this.#failure !== null
      ? failedOneStage(input, this.#failure ?? { status: 'failed', reason: NOT_COMPUTED })
      : oneStageResult(input, this.#spec, this.#fit, traffic);
  }

  #advance(turn: () => IteratorResult<Ask, OneStageFit>): void {
    this.#ask = null;
    try {
      const next = turn();
      if (next.done === true) this.#fit = next.value;
      else {
        this.#ask = next.value;
        this.#step++;
      }
    } catch (error) {
      // Sums that overflow, or cannot be combined: no site can stop the run.
      if (!(error instanceof ConcordatError && error.code.startsWith('numerics/'))) throw error;
      this.#failure = { status: 'failed', reason: { code: 'not-computed', message: error.message } };
    }
  }

  /** The same parameters are never asked again with one site fewer: what a sum loses would be that site's answer. */
  #lost(study: string, answer: SiteAnswer): void {
    const { status, reason } = missing(answer);
    this.#failure ??= {
      status: status === 'refused' ? 'refused' : 'failed',
      reason: {
        code: 'site-lost',
        message: `${study} left the fit after it had begun (${reason.message}); without it, the analysis is a new run with a new roster`,
      },
    };
  }
}

const NOT_COMPUTED: Reason = {
  code: 'not-computed',
  message: 'the fit cannot be computed in double precision',
};

function missingStatus(answer: SiteAnswer): ReturnType<typeof missing>['status'] | null {
  return answer.kind === 'reply' && answer.payload.$case === 'oneStageEntry' ? null : missing(answer).status;
}
