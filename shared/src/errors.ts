/**
 * Every error that Concordat raises on purpose: a closed union of codes, so that callers and tests
 * match the code and never the prose. `docs/errors.md` documents each code; a test holds both lists equal.
 *
 * `place` says where (a file and line, a key's path, a study); `remedy` says what to do about it.
 */
export const ERROR_CODES = [
  // plan, policy and map files
  'plan/unreadable',
  'plan/syntax',
  'plan/schema',
  'plan/expression',
  'plan/term',
  'plan/inconsistent',
  'policy/invalid',
  'agreement/invalid',
  'map/invalid',
  'config/invalid',
  // records
  'data/unreadable',
  'data/empty',
  'data/encoding',
  'data/duplicate-header',
  'data/malformed',
  'data/missing-column',
  'data/not-numeric',
  'data/impossible-code',
  'data/too-large',
  // numerics
  'numerics/not-positive-definite',
  'numerics/no-bracket',
  'numerics/invalid-input',
  // wire
  'wire/malformed',
  'wire/unknown-field',
  'wire/too-large',
  'wire/not-finite',
  'wire/length',
  'wire/signature',
  'wire/version',
  'wire/not-releasable',
  'wire/identity',
  // enrolment and the network
  'enrolment/invitation',
  'enrolment/used',
  'enrolment/expired',
  'enrolment/revoked',
  'enrolment/wrong-site',
  'enrolment/wrong-authority',
  'enrolment/exists',
  'network/unresolved',
  'network/unreachable',
  'network/proxy',
  'network/intercepted',
  'network/clock',
  // approval
  'approval/unknown',
  'approval/changed',
  'approval/not-custodian',
  'approval/passphrase',
  // runs and processes
  'log/corrupt',
  'log/erased',
  'log/rollback',
  'log/split-view',
  'store/corrupt',
  'usage/invalid',
  'run/conflict',
  'process/failed',
  'process/stopped',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** One of several faults that a single error reports. */
export interface Fault {
  readonly place: string;
  readonly message: string;
  readonly remedy: string;
}

export interface ErrorDetail {
  /** File, line, key path, column or study: where the fault is. */
  readonly place?: string;
  /** What the reader can do about it. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** Every fault of a document, in its order; the message lists them all. */
  readonly faults?: readonly Fault[];
}

export class ConcordatError extends Error {
  readonly code: ErrorCode;
  readonly place: string | undefined;
  readonly remedy: string | undefined;
  readonly faults: readonly Fault[];

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'ConcordatError';
    this.code = code;
    this.place = detail.place;
    this.remedy = detail.remedy;
    this.faults = detail.faults ?? [];
  }

  /** One block of text for a person: code, place, what, remedy. */
  describe(): string {
    const place = this.place === undefined ? '' : ` at ${this.place}`;
    const remedy = this.remedy === undefined ? '' : `\n  remedy: ${this.remedy}`;
    return `${this.code}${place}: ${this.message}${remedy}`;
  }
}
