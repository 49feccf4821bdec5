// oxlint-disable no-restricted-globals -- reads a written day, never the clock
/** When a day (UTC, `YYYY-MM-DD`) begins, in milliseconds since 1970; NaN where it cannot be read. */
export const dayBegins = (day: string): number => Date.parse(`${day}T00:00:00Z`);

/** Whether the calendar has the day: `Date.parse` takes 30 February for 2 March. */
export function isDay(day: string): boolean {
  const begins = dayBegins(day);
  return !Number.isNaN(begins) && new Date(begins).toISOString().startsWith(day);
}
