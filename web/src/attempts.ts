/**
 * Slows down who guesses passphrases: each failure makes the name, and the address, wait longer before the next attempt is
 * even looked at. The command line is not slowed, so that a custodian cannot be locked out of their own agent.
 */

/** Failures that may happen to anyone. */
const FREE = 3;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15 * 60_000;
/** Without a failure for so long, all is forgotten. */
const MEMORY = 60 * 60_000;
/** More names or addresses than these are not remembered: the oldest goes. */
const REMEMBERED = 1000;

interface Failures {
  readonly count: number;
  readonly last: number;
}

export class Attempts {
  readonly #failures = new Map<string, Failures>();
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** Milliseconds until an attempt may be made; 0: now. */
  wait(name: string, address: string): number {
    return Math.max(...keysOf(name, address).map((key) => this.#waitOf(key)));
  }

  /** Before the passphrase is tried, so that attempts side by side count too. */
  begin(name: string, address: string): void {
    const last = this.#now().getTime();
    for (const key of keysOf(name, address)) {
      const count = (this.#current(key)?.count ?? 0) + 1;
      this.#failures.delete(key);
      this.#failures.set(key, { count, last });
    }
    for (const key of this.#failures.keys()) {
      if (this.#failures.size <= REMEMBERED) break;
      this.#failures.delete(key);
    }
  }

  /** The passphrase was right. */
  succeed(name: string, address: string): void {
    for (const key of keysOf(name, address)) this.#failures.delete(key);
  }

  #waitOf(key: string): number {
    const failures = this.#current(key);
    if (failures === null || failures.count < FREE) return 0;
    const delay = Math.min(FIRST_DELAY * 2 ** (failures.count - FREE), LONGEST_DELAY);
    return Math.max(0, failures.last + delay - this.#now().getTime());
  }

  #current(key: string): Failures | null {
    const failures = this.#failures.get(key);
    return failures === undefined || this.#now().getTime() - failures.last >= MEMORY ? null : failures;
  }
}

function keysOf(name: string, address: string): readonly string[] {
  return [`name ${name}`, `address ${address}`];
}
