/** One task of a round: made and signed, or read again from the journal or the log. */
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { SiteAnswer } from '@concordat/shared/runs/answers.ts';
import type { RunTask } from '@concordat/shared/runs/rounds.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { signMessage, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

export interface OpenTask {
  readonly study: string;
  readonly analysis: string;
  /** SHA-256 of the body, hex. */
  readonly digest: string;
  readonly message: SignedMessage;
  readonly task: CoordinatorMessage;
  /** Encoded `message`. */
  readonly bytes: Uint8Array;
  /** Null until it is durable. */
  answer: SiteAnswer | null;
  /** The site said that it waits there for the custodian. */
  atCustodian: boolean;
}

/** `common`: what the headers of a round's tasks share. */
export function makeTask(
  { study, analysis, payload }: RunTask,
  common: Omit<Header, 'study' | 'analysis'>,
  identity: SigningIdentity,
): OpenTask {
  const task: CoordinatorMessage = { header: { ...common, study, analysis }, payload };
  const message = signMessage(identity, encode(CoordinatorMessage, task, 'a task'));
  const bytes = encode(SignedMessage, message, 'a task');
  return {
    study,
    analysis,
    digest: toHex(sha256(message.body)),
    message,
    task,
    bytes,
    answer: null,
    atCustodian: false,
  };
}

export function restoreTask(study: string, analysis: string, bytes: Uint8Array): OpenTask {
  const message = decode(SignedMessage, bytes, 'a journalled task');
  const task = decode(CoordinatorMessage, message.body, 'a journalled task');
  return {
    study,
    analysis,
    digest: toHex(sha256(message.body)),
    message,
    task,
    bytes,
    answer: null,
    atCustodian: false,
  };
}

export function restoreAnswer(task: OpenTask, bytes: Uint8Array): SiteAnswer {
  const signed = decode(SignedMessage, bytes, 'a journalled reply');
  const { payload } = decode(SiteMessage, signed.body, 'a journalled reply');
  if (payload === undefined) throw new ConcordatError('store/corrupt', 'a journalled reply without payload');
  return { kind: 'reply', payload, bytes: { down: task.bytes.length, up: bytes.length } };
}

export function taskKey({ study, analysis }: { readonly study: string; readonly analysis: string }): string {
  return JSON.stringify([study, analysis]);
}
