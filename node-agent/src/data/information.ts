import type { Share } from '@concordat/shared/disclosure/facts.ts';
import type { Response } from '@concordat/shared/models/types.ts';
import type { Analysis, Outcome } from '@concordat/shared/plan/types.ts';

/** Where the information of an analysis set lies: in how many people, and whose part is the largest. */

interface InformationSource {
  readonly n: number;
  readonly response: Response;
  /** Participants of each row; null: one. */
  readonly weights: Float64Array | null;
  readonly offset: Float64Array | null;
  /** Exposure of a count; null where it has none. */
  readonly logExposure: Float64Array | null;
}

/**
 * Participants who carry the information about a parameter, where it lies in few of them:
 *
 * - binary: the rarer outcome's;
 * - counts: those with any event, so that one who has many counts once;
 * - ordinal: those outside the commonest level, which for two levels is the rarer outcome: with nearly everybody in one
 *   level, the thresholds are about the others;
 * - time to event: the events, without one at which nobody else of its stratum is left, which has no part in a partial
 *   likelihood;
 * - continuous: null, everybody's value counts.
 */
export function informative({ response, weights, n }: InformationSource): number | null {
  switch (response.kind) {
    case 'continuous':
    case 'repeated':
      return null;
    case 'binary': {
      const events = total(response.events);
      return Math.min(events, (weights === null ? n : total(weights)) - events);
    }
    case 'count': {
      let some = 0;
      for (const y of response.y) if (y > 0) some++;
      return some;
    }
    case 'ordinal': {
      const counts = new Float64Array(response.levels);
      for (const level of response.level) counts[level]!++;
      return n - counts.reduce((a, b) => Math.max(a, b), 0);
    }
    case 'time-to-event':
      return strataOf(response, n).reduce((sum, { events, alone }) => sum + events - alone, 0);
  }
}

/** Of how many equal participants the set holds the information: (Σ w)² / Σ w² of the weights that an offset makes (Kish 1965). */
export function effectiveParticipants(analysis: Analysis, source: InformationSource): number {
  const { response, n, weights, offset } = source;
  const people = weights === null || response.kind === 'repeated' ? null : weights;
  let effective = response.kind === 'repeated' ? Infinity : people === null ? n : total(people);
  if (offset !== null && n > 0) {
    const relative = offsetWeights(analysis, source, offset);
    let [sum, squares] = [0, 0];
    for (let i = 0; i < n; i++) {
      const w = people === null ? 1 : people[i]!;
      sum += w * relative[i]!;
      squares += w * relative[i]! ** 2;
    }
    effective = sum ** 2 / squares;
  }
  if (response.kind === 'time-to-event' && response.stratum !== null) {
    const compared = strataOf(response, n)
      .filter(({ participants, events, alone }) => participants > 1 && events > alone)
      .reduce((sum, { participants }) => sum + participants, 0);
    effective = Math.min(effective, compared);
  }
  return effective;
}

/** Working weights of a model of the offset and one constant. */
function offsetWeights(
  { model, family }: Analysis,
  { response, n, weights }: InformationSource,
  offset: Float64Array,
): Float64Array {
  if (family === 'gaussian' || model.link === 'identity') return new Float64Array(n).fill(1);
  const logistic = family === 'ordinal' || (family === 'binomial' && model.link !== 'log');
  const largest = offset.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!logistic) return offset.map((o) => Math.exp(o - largest));
  const share =
    response.kind === 'binary' ? total(response.events) / (weights === null ? n : total(weights)) : 0.5;
  const at = (constant: number, o: number): number => 1 / (1 + Math.exp(-constant - o));
  const smallest = offset.reduce((a, b) => Math.min(a, b), Infinity);
  // The mean fitted probability rises with the constant: between these two it is found by halving.
  let [low, high] = [-largest - 40, -smallest + 40];
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    let mean = 0;
    for (let i = 0; i < n; i++) mean += at(middle, offset[i]!) / n;
    if (mean < share) low = middle;
    else high = middle;
  }
  return offset.map((o) => at(low, o) * (1 - at(low, o)));
}

interface Stratum {
  participants: number;
  events: number;
  last: number;
  /** 1 where the last to be observed has an event that nobody else is there to be compared with. */
  alone: number;
}

function strataOf(
  { time, event, stratum }: Extract<Response, { kind: 'time-to-event' }>,
  n: number,
): readonly Stratum[] {
  const strata: Stratum[] = [];
  for (let i = 0; i < n; i++) {
    const s = (strata[stratum === null ? 0 : stratum[i]!] ??= {
      participants: 0,
      events: 0,
      last: -Infinity,
      alone: 0,
    });
    s.participants++;
    s.events += event[i]!;
    if (time[i]! > s.last) {
      s.last = time[i]!;
      s.alone = event[i]!;
    } else if (time[i] === s.last) s.alone = 0;
  }
  return strata;
}

/** The largest share of a participant in each sum that an answer about this outcome tells. */
export function largestShares(
  outcome: Outcome,
  { response, n, logExposure }: InformationSource,
): readonly Share[] {
  switch (response.kind) {
    case 'continuous':
    case 'repeated': {
      const { y } = response;
      const subject = response.kind === 'repeated' ? response.subject : null;
      const mean = total(y) / n;
      const squares = new Float64Array(n);
      for (let i = 0; i < n; i++) squares[i] = (y[i]! - mean) ** 2;
      const variable = outcome.kind === 'continuous' || outcome.kind === 'repeated' ? outcome.variable : '';
      return [{ what: 'squared deviations', variable, share: largestShare(squares, subject) }];
    }
    case 'count': {
      if (outcome.kind !== 'count') return [];
      const counts: Share = {
        what: 'counts',
        variable: outcome.variable,
        share: largestShare(response.y, null),
      };
      if (outcome.exposure === null || logExposure === null) return [counts];
      const share = largestShare(logExposure.map(Math.exp), null);
      return [counts, { what: 'exposure', variable: outcome.exposure, share }];
    }
    case 'time-to-event': {
      if (outcome.kind !== 'time-to-event') return [];
      const { time, entry } = response;
      const atRisk = entry === null ? time : time.map((end, i) => end - entry[i]!);
      return [{ what: 'time at risk', variable: outcome.time, share: largestShare(atRisk, null) }];
    }
    default:
      return [];
  }
}

/** `owner`: the participant of each row; null: one each. */
function largestShare(parts: Float64Array, owner: Int32Array | null): number {
  const owned = owner === null ? parts : sumBy(parts, owner);
  let [sum, largest] = [0, 0];
  for (let i = 0; i < owned.length; i++) {
    sum += owned[i]!;
    if (owned[i]! > largest) largest = owned[i]!;
  }
  return sum === 0 ? 0 : largest / sum;
}

/** Sums of `values` by a number of each row. */
function sumBy(values: Float64Array, owner: Int32Array): Float64Array {
  const sums = new Float64Array(1 + owner.reduce((a, b) => Math.max(a, b), -1));
  for (let i = 0; i < owner.length; i++) sums[owner[i]!]! += values[i]!;
  return sums;
}

export function total(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}
