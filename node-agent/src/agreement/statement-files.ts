/**
 * Statements on their way to the agent: a statement comes as a file in `<state>/decisions/`, from the command line or the local
 * page; the agent takes it into its log, and acts on it.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  isNo,
  readSigned,
  readStatement,
  statementDigest,
  type SignedStatement,
  type Statement,
} from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

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

function readKept(file: string): SignedStatement | null {
  try {
    return readSigned(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

export const dropStatement = (file: string): void => rmSync(file, { force: true });
