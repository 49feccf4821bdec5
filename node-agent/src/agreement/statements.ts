/**
 * What a custodian decided, in their own signature. A statement comes as a file in `<state>/decisions/`, from the command line or
 * the local page; the agent takes it into its log, and acts on it.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { schemaCheck } from '@concordat/shared/plan/document.ts';
import { fromHex, sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { verifyBytes } from '@concordat/shared/wire/signing.ts';

import { OBJECTIONS, type CustodianKey, type ObjectionName } from '../custodian/desk.ts';

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

export const decisionsFolder = (state: string): string => join(state, 'decisions');

/** Hands a statement to the agent, whether it runs or not. */
export function putStatement(state: string, statement: SignedStatement): void {
  const folder = decisionsFolder(state);
  const file = join(folder, `${statementDigest(statement)}.json`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.part`, JSON.stringify(statement), { mode: 0o600, flush: true });
    renameSync(`${file}.part`, file);
  } catch (cause) {
    throw new ConcordatError('config/invalid', "the agent's folder for decisions cannot be written", {
      place: folder,
      remedy: 'give the command as the user that the agent runs as',
      cause,
    });
  }
}

/** A statement that the agent has not taken yet, with its file; null for what the file does not hold. */
export interface WaitingStatement {
  readonly file: string;
  readonly signed: SignedStatement | null;
  readonly statement: Statement | null;
}

/** The statements that wait in the folder, in the order in which they were signed; of the same moment a no is the last word. */
export function waitingStatements(state: string): readonly WaitingStatement[] {
  const folder = decisionsFolder(state);
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
  return names
    .map((name) => {
      const file = join(folder, name);
      const signed = readKept(file);
      return { file, signed, statement: signed === null ? null : readStatement(signed) };
    })
    .toSorted(inOrder);
}

function inOrder({ statement: a }: WaitingStatement, { statement: b }: WaitingStatement): number {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  return Number(isNo(a)) - Number(isNo(b));
}

const isNo = ({ kind }: Pick<Statement, 'kind'>): boolean => kind === 'refuse' || kind === 'withhold';

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

function readKept(file: string): SignedStatement | null {
  try {
    return readSigned(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

export const dropStatement = (file: string): void => rmSync(file, { force: true });
