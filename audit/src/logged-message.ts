/** The message behind a log's entry: decoded strictly, and held against what the entry says of it. */
import { hash } from 'node:crypto';

import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { assertReleasable } from '@concordat/shared/wire/releasable.ts';

import type { AuditedEntry } from './audited-entry.ts';
import type { Place, Report } from './finding.ts';
import { COORDINATOR, type Party } from './keys.ts';

interface Message {
  readonly entry: LogEntry;
  readonly place: Place;
  readonly signed: SignedMessage;
  /** SHA-256 of the signed message's bytes, a character each: many are kept to be compared. */
  readonly digest: string;
  readonly header: Header;
  /** Of the task that it is, or answers: SHA-256 of its body, hex. */
  readonly task: string;
  /** Of the encoded signed message. */
  readonly bytes: number;
}

export interface LoggedTask extends Message {
  readonly what: 'task';
  readonly payload: NonNullable<CoordinatorMessage['payload']>;
}

export interface LoggedReply extends Message {
  readonly what: 'reply';
  readonly payload: NonNullable<SiteMessage['payload']>;
}

export type LoggedMessage = LoggedTask | LoggedReply;

/** Whose log it is. */
export interface Owner {
  readonly party: Party;
  readonly origin: string;
}

export function placeOf({ origin, party }: Owner, entry: LogEntry): Place {
  const { n, run, analysis, round, peer } = entry;
  const study = party === COORDINATOR ? peer : party;
  return {
    log: origin,
    entry: n,
    ...(run === undefined ? {} : { run }),
    ...(analysis === undefined || analysis === '' ? {} : { analysis }),
    ...(round === undefined ? {} : { round }),
    ...(study === undefined ? {} : { study }),
  };
}

/** Whether an entry is about a message that was taken or sent. */
export const isMessage = ({ kind }: LogEntry): boolean => kind === 'received' || kind === 'sent';

/** Null where there is none to be read; what is wrong with one that there is, is told. */
export function readMessage(audited: AuditedEntry, owner: Owner, report: Report): LoggedMessage | null {
  const { entry, body } = audited;
  if (!isMessage(entry) || !(body instanceof Uint8Array)) return null;
  const place = placeOf(owner, entry);
  try {
    const message = decoded(entry, place, body, owner);
    if (message === null) return null;
    checkEntry(message, owner, report);
    return message;
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    const field = error.place;
    report.find({
      kind: 'schema',
      place: field === undefined ? place : { ...place, field },
      message: `what was ${entry.kind} here is no message of the protocol: ${error.message}`,
    });
    return null;
  }
}

function decoded(entry: LogEntry, place: Place, body: Uint8Array, owner: Owner): LoggedMessage | null {
  const signed = decode(SignedMessage, body, 'the message');
  const common = { entry, place, signed, digest: hash('sha256', body, 'binary'), bytes: body.length };
  if ((entry.kind === 'sent') === (owner.party === COORDINATOR)) {
    const { header, payload } = decode(CoordinatorMessage, signed.body, 'the task');
    if (header === undefined || payload === undefined) throw incomplete();
    return { ...common, what: 'task', header, payload, task: hash('sha256', signed.body, 'hex') };
  }
  const reply = decode(SiteMessage, signed.body, 'the answer');
  const { header, payload } = reply;
  if (header === undefined || payload === undefined) throw incomplete();
  assertReleasable('SiteMessage', reply);
  return { ...common, what: 'reply', header, payload, task: toHex(header.inReplyTo) };
}

const incomplete = (): ConcordatError =>
  new ConcordatError('wire/malformed', 'it has no header, or says nothing');

function checkEntry(message: LoggedMessage, { party }: Owner, report: Report): void {
  const { entry, header, payload, task, place } = message;
  const peer = party === COORDINATOR ? header.study : COORDINATOR;
  const said: readonly (readonly [
    field: string,
    entry: string | number | undefined,
    message: string | number,
  ])[] = [
    ['run', entry.run, toHex(header.run)],
    ['analysis', entry.analysis, header.analysis],
    ['round', entry.round, header.round],
    ['type', entry.type, payload.$case],
    ['task', entry.task, task],
    ['peer', entry.peer, peer],
    ['study', party === COORDINATOR ? header.study : party, header.study],
  ];
  const wrong = said.filter(([, ofEntry, ofMessage]) => ofEntry !== ofMessage);
  if (wrong.length === 0) return;
  report.find({
    kind: 'mutation',
    place: { ...place, field: wrong[0]![0] },
    message: `the entry says ${wrong.map(([field, ofEntry]) => `${field} ${ofEntry ?? 'nothing'}`).join(', ')}; its message says ${wrong.map(([, , ofMessage]) => `${ofMessage}`).join(', ')}`,
  });
}
