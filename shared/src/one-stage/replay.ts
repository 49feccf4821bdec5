import { SUM_LIMIT } from '../numerics/ring.ts';
import { startBound, type StudyEntry } from './entry.ts';
import { oneStageModels } from './registry.ts';
import type { Ask, Entry, OneStageSpec, Program } from './types.ts';

/** A question as it arrived, and what it tells of the answers before. */
export interface ToldQuestion {
  readonly step: number;
  readonly ask: Omit<Ask, 'gather'>;
  /** With the first step. */
  readonly entry: Entry | null;
  /** With later steps: the sum of the answers to the step before; empty where that asked for each. */
  readonly sum: Float64Array;
}

export type Dishonesty =
  | 'step-out-of-order'
  | 'entry-missing'
  | 'entry-implausible'
  | 'sum-missing'
  | 'program-over'
  | 'per-study-answers-are-not-told'
  | 'another-question';

/**
 * What a site, or an auditor, holds a coordinator's questions against: the same optimiser, driven by the sums that the
 * coordinator tells. A coordinator that asks at parameters of its own choosing would have to tell a sum that makes the
 * optimiser ask there, and that sum stands signed in the site's log, where the other sites' answers contradict it.
 */
export class Replay {
  readonly #spec: OneStageSpec;
  readonly #own: StudyEntry | null;
  #program: Program | null = null;
  #step = 0;
  #ask: Ask | null = null;
  #entry: Entry | null = null;

  /** `own`: what the site entered with, where it is a site that replays. */
  constructor(spec: OneStageSpec, own: StudyEntry | null = null) {
    this.#spec = spec;
    this.#own = own;
  }

  get entry(): Entry | null {
    return this.#entry;
  }

  /** The honest question that `told` is, or what is wrong with it. After a question that is not, none of the analysis is honest. */
  next(told: ToldQuestion): Ask | Dishonesty {
    if (told.step !== this.#step + 1) return 'step-out-of-order';
    if (this.#program === null) {
      if (told.entry === null) return 'entry-missing';
      if (!plausible(this.#spec, told.entry)) return 'entry-implausible';
      if (this.#own !== null && !holds(this.#spec, told.entry, this.#own)) return 'entry-implausible';
    }
    const ask = this.#advance(told);
    if (typeof ask === 'string') return ask;
    if (!sameQuestion(ask, told.ask)) {
      this.#ask = null;
      return 'another-question';
    }
    this.#step = told.step;
    return ask;
  }

  #advance(told: ToldQuestion): Ask | Dishonesty {
    try {
      if (this.#program === null) {
        this.#entry = told.entry;
        this.#program = oneStageModels[this.#spec.kind].program(this.#spec, told.entry!);
        return this.#take(this.#program.next());
      }
      if (this.#ask === null) return 'program-over';
      if (this.#ask.gather === 'each') return 'per-study-answers-are-not-told';
      if (told.sum.length !== this.#ask.length || !told.sum.every(inRange)) return 'sum-missing';
      return this.#take(this.#program.next([told.sum]));
    } catch {
      // Whatever a crafted sum makes of the arithmetic, an honest coordinator asks nothing after it.
      return 'another-question';
    }
  }

  #take(turn: IteratorResult<Ask, unknown>): Ask | Dishonesty {
    this.#ask = turn.done === true ? null : turn.value;
    return this.#ask ?? 'program-over';
  }
}

const inRange = (value: number): boolean => Math.abs(value) <= SUM_LIMIT;

/** A pooled standard deviation is rounded to a power of two. */
const ROUNDED = 1.5;

/**
 * Where the site knows its own entry, the federation's must have room for it: its participants, and its share of every
 * column's variance; and the start is bounded in units of the site's own standard deviations too, whatever number of
 * participants is claimed. So no scale makes of a covariate a step that parts a few participants from the others.
 */
function holds(
  spec: OneStageSpec,
  { n, scaling, start }: Entry,
  { participants, deviations }: StudyEntry,
): boolean {
  const share = Math.sqrt(participants / n);
  return (
    n >= participants &&
    scaling.scale.every(
      (scale, j) =>
        ROUNDED * scale >= share * deviations[j]! &&
        (deviations[j] === 0 ||
          Math.abs(start[j]!) * deviations[j]! <= ROUNDED * scale * startBound(spec, j)),
    )
  );
}

function plausible(spec: OneStageSpec, { studies, n, scaling, start, sd }: Entry): boolean {
  const finite = (values: Float64Array): boolean => values.every(Number.isFinite);
  return (
    Number.isInteger(studies) &&
    studies > 0 &&
    n > 0 &&
    Number.isFinite(n) &&
    scaling.centre.length === spec.columns &&
    scaling.scale.length === spec.columns &&
    finite(scaling.centre) &&
    scaling.scale.every((scale) => scale > 0 && Number.isFinite(scale)) &&
    start.length === spec.terms.length &&
    start.every((value, j) => Math.abs(value) <= startBound(spec, j)) &&
    finite(start) &&
    sd.length === spec.random.length &&
    sd.every((value) => value >= 0 && Number.isFinite(value))
  );
}

function sameQuestion(ask: Ask, told: Omit<Ask, 'gather'>): boolean {
  return (
    ask.objective === told.objective &&
    ask.order === told.order &&
    ask.length === told.length &&
    ask.theta.length === told.theta.length &&
    ask.theta.every((value, j) => value === told.theta[j])
  );
}
