/** Limits how often someone may fail: so many times at once, and then again as time passes. The clock is passed in. */
const REMEMBERED = 10_000;

export class AttemptLimit {
  readonly #burst: number;
  /** Milliseconds until one more attempt is allowed. */
  readonly #interval: number;
  /** Who → until when their failures weigh. The first to come is the first to be forgotten. */
  readonly #until = new Map<string, number>();

  constructor(burst: number, interval: number) {
    this.#burst = burst;
    this.#interval = interval;
  }

  allows(who: string, now: number): boolean {
    return this.#left(who, now) <= (this.#burst - 1) * this.#interval;
  }

  failed(who: string, now: number): void {
    const until = now + this.#left(who, now) + this.#interval;
    this.#until.delete(who);
    this.#until.set(who, until);
    // Bounded: whoever has many addresses makes others be forgotten, not the memory grow.
    const oldest = this.#until.keys().next();
    if (this.#until.size > REMEMBERED && oldest.done !== true) this.#until.delete(oldest.value);
  }

  /** How long earlier failures weigh, milliseconds: longer than they can, and the clock was set back. */
  #left(who: string, now: number): number {
    const left = Math.max(0, (this.#until.get(who) ?? 0) - now);
    return left > this.#burst * this.#interval ? 0 : left;
  }
}
