/** One fault that many messages show is one finding, at the first of them. */
import type { Finding, Report } from './finding.ts';

export class Tally {
  readonly #report: Report;
  readonly #found = new Map<string, { readonly finding: Finding; more: number }>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** `cause`: what makes two findings of a kind one. */
  find(cause: string, finding: Finding): void {
    const key = `${finding.kind} ${cause}`;
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { finding, more: 0 });
    else known.more++;
  }

  finish(): void {
    for (const { finding, more } of this.#found.values())
      this.#report.find(
        more === 0 ? finding : { ...finding, message: `${finding.message} (and ${more} times more)` },
      );
    this.#found.clear();
  }
}
