/** What a custodian decided, in their own signature. */
import { schemaCheck } from '../plan/document.ts';
import { fromHex, sha256, toHex } from '../wire/digest.ts';
import { verifyBytes } from '../wire/signing.ts';

export const OBJECTIONS = [
  'purpose',
  'population',
  'variables',
  'outcome',
  'method',
  'disclosure',
  'data-not-ready',
  'other',
] as const;
export type ObjectionName = (typeof OBJECTIONS)[number];

/** A custodian's key, opened with their passphrase. */
export interface CustodianKey {
  readonly name: string;
  /** 64 hexadecimal digits. */
  readonly publicKey: string;
  sign(statement: Uint8Array): Uint8Array;
}

/** What is decided about, as the custodian saw it. Digests are SHA-256 in hex. */
export interface ApproveStatement {
  readonly kind: 'approve';
  readonly run: string;
  readonly plan: string;
  /** Sites of the roster, and how many of them must take part. */
  readonly sites: readonly string[];
  readonly minimum: number;
  /** Seal of the records' snapshot. */
  readonly data: string;
  /** Of the agreement in force. */
  readonly agreement: string;
  readonly note: string;
}

export interface RefuseStatement {
  readonly kind: 'refuse';
  readonly run: string;
  readonly plan: string;
  readonly objection: ObjectionName;
  readonly note: string;
}

export interface ReleaseStatement {
  readonly kind: 'release' | 'withhold';
  /** The task that is answered. */
  readonly task: string;
  /** Of the payload that the custodian saw. */
  readonly payload: string;
  readonly note: string;
}

export type StatementBody = ApproveStatement | RefuseStatement | ReleaseStatement;

export interface Signer {
  readonly statement: 1;
  readonly study: string;
  readonly custodian: string;
  /** Public key, 64 hexadecimal digits. */
  readonly key: string;
  /** UTC, as `Date.toISOString` writes it, so that the order of the texts is that of the times. */
  readonly time: string;
}

export type Statement =
  | (ApproveStatement & Signer)
  | (RefuseStatement & Signer)
  | (ReleaseStatement & Signer);

/** A statement as it is kept: the signed text, exactly. */
export interface SignedStatement {
  readonly text: string;
  /** Hex. */
  readonly signature: string;
}

const text = { type: 'string', maxLength: 2000 };
const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const run = { type: 'string', pattern: '^[0-9a-f]{32}$' };
const common = {
  statement: { const: 1 },
  study: text,
  custodian: text,
  key: digest,
  time: { type: 'string', pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$` },
  note: text,
};
const shape = (own: Readonly<Record<string, object>>): object => {
  const properties = { ...common, ...own };
  return { type: 'object', additionalProperties: false, required: Object.keys(properties), properties };
};
const check = schemaCheck({
  type: 'object',
  anyOf: [
    shape({
      kind: { const: 'approve' },
      run,
      plan: digest,
      sites: { type: 'array', items: text },
      minimum: { type: 'integer' },
      data: { type: 'string', pattern: '^([0-9a-f]{64})?$' },
      agreement: digest,
    }),
    shape({
      kind: { const: 'refuse' },
      run,
      plan: digest,
      objection: { type: 'string', enum: [...OBJECTIONS] },
    }),
    shape({ kind: { type: 'string', enum: ['release', 'withhold'] }, task: digest, payload: digest }),
  ],
});

export function signStatement(
  body: StatementBody,
  study: string,
  custodian: CustodianKey,
  now: Date,
): SignedStatement {
  const statement: Statement = {
    statement: 1,
    study,
    ...body,
    custodian: custodian.name,
    key: custodian.publicKey,
    time: now.toISOString(),
  };
  const written = JSON.stringify(statement);
  return { text: written, signature: toHex(custodian.sign(Buffer.from(written))) };
}

/** The statement, if it is one and signed with the key that it names; null otherwise. */
export function readStatement({ text: written, signature }: SignedStatement): Statement | null {
  try {
    const value: unknown = JSON.parse(written);
    if (check(value).length > 0) return null;
    const statement = value as Statement;
    const signed = verifyBytes(
      fromHex(statement.key),
      'concordat.v1 statement\n',
      Buffer.from(written),
      fromHex(signature),
    );
    return signed ? statement : null;
  } catch {
    return null;
  }
}

/** SHA-256 (hex) of the signed text: the statement's name in the log. */
export const statementDigest = ({ text: written }: SignedStatement): string => toHex(sha256(written));

/** Whether it forbids what it is about. */
export const isNo = ({ kind }: Pick<Statement, 'kind'>): boolean => kind === 'refuse' || kind === 'withhold';

/** What a statement is about: a run and its plan, or a task. */
export const subjectsOf = (
  about: Pick<ApproveStatement, 'run' | 'plan'> | Pick<ReleaseStatement, 'task'>,
): readonly string[] => ('task' in about ? [about.task] : [about.run, about.plan]);

/** Whether a yes comes late, after a word about the same that was a no. */
export const isOvertakenBy = (yes: Pick<Statement, 'kind' | 'time'>, word: Statement): boolean =>
  !isNo(yes) && isNo(word) && word.time > yes.time;

/** A statement as it is kept, of its JSON; null where that is none. */
export function readSigned(kept: string): SignedStatement | null {
  try {
    const { text: written, signature } = JSON.parse(kept) as Partial<SignedStatement>;
    return typeof written === 'string' && typeof signature === 'string' ? { text: written, signature } : null;
  } catch {
    return null;
  }
}
