import { ConcordatError } from '../errors.ts';
import type { FamilyName } from '../plan/types.ts';
import { wrongResponse } from './family.ts';
import type { Response } from './types.ts';

/** A time-to-event response whose hazard is modelled: under observation on (entry, time], events after time 0. */
export type SurvivalTimes = Extract<Response, { kind: 'time-to-event' }>;

/** Refuses another response, times that are no times, an entry that is not before its time, an event at time 0. */
export function survivalTimes(family: FamilyName, response: Response): SurvivalTimes {
  if (response.kind !== 'time-to-event') return wrongResponse(family, response);
  const { time, event, entry } = response;
  for (let i = 0; i < time.length; i++) {
    const [from, to] = [entry === null ? 0 : entry[i]!, time[i]!];
    if (!(from >= 0 && to < Infinity) || !(from < to || (from === 0 && to === 0 && event[i] === 0))) {
      throw new ConcordatError(
        'numerics/invalid-input',
        `a ${family} model needs times after 0, and after those of entry`,
        { remedy: 'correct the times, or leave these rows out of the population' },
      );
    }
  }
  return response;
}

/** log(events / person-time), a hazard to start from: 0 where there are no rows, half an event where there is none. */
export function logRate({ time, event, entry }: SurvivalTimes): number {
  let [events, exposure] = [0, 0];
  for (let i = 0; i < time.length; i++) {
    events += event[i]!;
    exposure += time[i]! - (entry === null ? 0 : entry[i]!);
  }
  return exposure > 0 ? Math.log(Math.max(events, 0.5) / exposure) : 0;
}
