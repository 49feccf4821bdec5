/** Limits how often someone may try: so many times at once, and then again as time passes. The clock is passed in. */
const REMEMBERED = 10_000;

export class AttemptLimit {
  readonly #burst: number;
  /** Milliseconds until one more attempt is allowed. */
  readonly #interval: number;
  /** Who → until when their attempts weigh. The first to come is the first to be forgotten. */
  readonly #until = new Map<string, number>();

  constructor(burst: number, interval: number) {
    this.#burst = burst;
    this.#interval = interval;
  }

  /** Counts an attempt, before it is looked at: others may come meanwhile. False where it is one too many, and is not counted. */
  take(who: string, now: number): boolean {
    const left = this.#left(who, now);
    if (left > (this.#burst - 1) * this.#interval) return false;
    this.#until.delete(who);
    this.#until.set(who, now + left + this.#interval);
    // Bounded: whoever has many addresses makes others be forgotten, not the memory grow.
    const oldest = this.#until.keys().next();
    if (this.#until.size > REMEMBERED && oldest.done !== true) this.#until.delete(oldest.value);
    return true;
  }

  /** An attempt that `take` counted does not weigh: it succeeded. */
  giveBack(who: string, now: number): void {
    const left = this.#left(who, now) - this.#interval;
    if (left > 0) this.#until.set(who, now + left);
    else this.#until.delete(who);
  }

  /** How long earlier attempts weigh, milliseconds. Far longer than they can: the clock was set back, and keeps nobody out. */
  #left(who: string, now: number): number {
    const left = Math.max(0, (this.#until.get(who) ?? 0) - now);
    return left > 2 * this.#burst * this.#interval ? 0 : left;
  }
}
