/** What an entry of a log says, with its body where there is one: as a title, a sentence and tables. Nothing that a log holds makes it throw. */
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { readStatement, type SignedStatement } from '@concordat/shared/agreement/statements.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { readCheckpoint } from '@concordat/shared/log/note.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

import { payloadReading } from './answers.ts';
import type { AuditedEntry } from './audited-entry.ts';
import { questionReading, textTable } from './questions.ts';
import type { RunNames } from './run-names.ts';
import { headerTable, type Cell, type PayloadReading, type PayloadTable } from './tables.ts';

type Body = AuditedEntry['body'];

const QUESTIONS: ReadonlySet<string> = new Set([
  'planOffer',
  'factorLevelsQuestion',
  'stageOneQuestion',
  'entryQuestion',
  'objectiveQuestion',
  'runClosed',
]);

/** Types of bodies that are no messages. */
const DOCUMENTS: ReadonlySet<string> = new Set([
  'agreement',
  'statement',
  'template',
  'refusals',
  'divergence',
  'acknowledgement',
]);

/** A message that was logged, as it was signed; null where the body is none that this version reads. */
export type LoggedMessage =
  | { readonly from: 'coordinator'; readonly signed: SignedMessage; readonly message: CoordinatorMessage }
  | { readonly from: 'site'; readonly signed: SignedMessage; readonly message: SiteMessage };

export function messageIn({ type }: LogEntry, body: Uint8Array): LoggedMessage | null {
  if (type !== undefined && DOCUMENTS.has(type)) return null;
  try {
    const signed = decode(SignedMessage, body, 'the message');
    return type !== undefined && QUESTIONS.has(type)
      ? { from: 'coordinator', signed, message: decode(CoordinatorMessage, signed.body, 'the question') }
      : { from: 'site', signed, message: decode(SiteMessage, signed.body, 'the answer') };
  } catch {
    return null;
  }
}

/** Takes the entry into `names`, so that entries are described in the log's order. */
export function describeEntry(entry: LogEntry, body: Body, names: RunNames): PayloadReading {
  if (!(body instanceof Uint8Array)) return withoutBody(entry, body);
  const message = messageIn(entry, body);
  if (message?.from === 'coordinator') names.take(message.message);
  if (message !== null) return messageReading(entry, message, names);
  try {
    return documentReading(entry, body);
  } catch {
    return {
      title: heading(entry),
      sentence: 'What was logged with this entry cannot be read by this version.',
      tables: [{ ...FIELDS, rows: [['Bytes', body.length]] }],
    };
  }
}

function messageReading(entry: LogEntry, logged: LoggedMessage, names: RunNames): PayloadReading {
  const { header, payload } = logged.message;
  const envelope = header === undefined ? [] : [headerTable(header)];
  if (payload === undefined)
    return { title: heading(entry), sentence: 'The message says nothing.', tables: envelope };
  const { terms, measure } = names.of(header === undefined ? undefined : toHex(header.run), header?.analysis);
  const reading =
    logged.from === 'coordinator'
      ? questionReading(logged.message.payload!)
      : payloadReading(logged.message.payload!, terms, measure);
  return entry.kind === 'refused'
    ? {
        ...reading,
        title: `${heading(entry)}: ${reading.title}`,
        sentence: `It was not used. ${reading.sentence}`,
      }
    : reading;
}

const FIELDS = {
  caption: 'What it holds',
  sentence: 'As it was logged.',
  columns: ['Field', 'Value'],
} as const;

function documentReading(entry: LogEntry, body: Uint8Array): PayloadReading {
  const text = Buffer.from(body).toString('utf8');
  const title = heading(entry);
  switch (entry.type) {
    case 'agreement':
      return {
        title,
        sentence: 'From here on the site answers what this agreement allows, and nothing else.',
        tables: [textTable('The agreement', "The institution's own file, line by line.", text)],
      };
    case 'template':
      return {
        title,
        sentence: 'Plans that match this one need no decision of their own where the agreement says so.',
        tables: [textTable('The template', 'The plan file, line by line.', text)],
      };
    case 'statement':
      return statementReading(title, JSON.parse(text) as SignedStatement);
    case 'refusals':
      return {
        title,
        sentence:
          'The rules that the answer failed. It did not leave; what was counted is in this log alone.',
        tables: [refusalTable(JSON.parse(text) as readonly Readonly<Record<string, unknown>>[])],
      };
    case 'divergence':
      return divergenceReading(title, JSON.parse(text) as { readonly kept: string; readonly shown: string });
    case 'acknowledgement':
      return {
        title,
        sentence: 'An administrator has looked into a divergence of the logs, and lets the exchange go on.',
        tables: [textTable('Their note', 'It did not leave.', text)],
      };
    default:
      throw new TypeError('no document');
  }
}

function statementReading(title: string, signed: SignedStatement): PayloadReading {
  const statement = readStatement(signed);
  const told = statement ?? (JSON.parse(signed.text) as object);
  const rows = Object.entries(told).map(([name, value]): Cell[] => [
    name,
    Array.isArray(value) ? value.join(', ') : cellOf(value),
  ]);
  return {
    title,
    sentence:
      statement === null
        ? "The signature is not the custodian's: the statement counts for nothing."
        : `Signed by ${statement.custodian} with the key of a custodian.`,
    tables: [
      {
        caption: 'The statement',
        sentence: 'The text that was signed, field by field. Digests are SHA-256.',
        columns: ['Field', 'Value'],
        rows: [...rows, ['Signature', cellOf(signed.signature)]],
      },
    ],
  };
}

function refusalTable(refusals: readonly Readonly<Record<string, unknown>>[]): PayloadTable {
  return {
    caption: 'Rules that refused',
    sentence: 'The threshold is that of the policy in force; the count is that of the records then.',
    columns: ['Rule', 'Threshold', 'Counted'],
    rows: refusals.map(({ rule, threshold, observed }) => [
      cellOf(rule),
      cellOf(threshold),
      observed === undefined || observed === null ? 'not a count' : cellOf(observed),
    ]),
  };
}

/** Of what was read as JSON, and may hold anything. */
function cellOf(value: unknown): Cell {
  return typeof value === 'string' || typeof value === 'number' ? value : (JSON.stringify(value) ?? null);
}

function divergenceReading(
  title: string,
  { kept, shown }: { readonly kept: string; readonly shown: string },
): PayloadReading {
  const heads = [
    ['Kept by its witness', readCheckpoint(kept)],
    ['Shown then', readCheckpoint(shown)],
  ] as const;
  return {
    title,
    sentence:
      'Two signed states of one log that cannot both be its history. Nothing was exchanged from here on.',
    tables: [
      {
        caption: 'The two states',
        sentence: 'Both are signed by the one whose log it is.',
        columns: ['Which', 'Log', 'Entries', 'Root'],
        rows: heads.map(([which, head]) => [
          which,
          head?.origin ?? 'unreadable',
          head?.size ?? null,
          head === null ? null : toHex(head.root),
        ]),
      },
    ],
  };
}

function withoutBody(entry: LogEntry, body: Exclude<Body, Uint8Array>): PayloadReading {
  const why =
    body === null
      ? 'The entry says all that was logged.'
      : {
          erased: 'What it said was erased; its commitment stands.',
          withheld: 'What it said was not handed over; its commitment stands.',
          unusable: 'What is stored with it is not what was logged.',
        }[body];
  return { title: heading(entry), sentence: why, tables: [] };
}

/** Metadata of an entry, and what else it says. */
export function entryTable(entry: LogEntry): PayloadTable {
  const { n, time, kind, peer, run, analysis, round, type, task, body, detail } = entry;
  const rows: readonly (readonly [string, Cell | undefined])[] = [
    ['Entry', `${n}`],
    ['Time', time],
    ['Kind', kind],
    ['Other side', peer],
    ['Run', run],
    ['Analysis', analysis === '' ? '(the whole plan)' : analysis],
    ['Round', round === undefined ? undefined : `${round}`],
    ['Type', type],
    ['Question, SHA-256', task],
    ['Commitment to the body', body],
    ...Object.entries(detail ?? {}).map(([name, value]) => [name, String(value)] as const),
  ];
  return {
    caption: 'The entry',
    sentence: 'The leaf of the log: digests and metadata alone.',
    columns: ['Field', 'Value'],
    rows: rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  };
}

const TYPES: Readonly<Record<string, string>> = {
  agreement: 'An agreement comes into force',
  statement: "A custodian's decision",
  template: 'A template comes into force',
  refusals: 'An answer was refused by rules',
  divergence: 'The other side shows another history of a log',
  acknowledgement: 'A divergence is acknowledged',
};

/** In a few words, from the entry alone. */
export function heading({ kind, type, detail }: LogEntry): string {
  if (type !== undefined && TYPES[type] !== undefined) return TYPES[type];
  switch (kind) {
    case 'start':
      return 'The process started';
    case 'stop':
      return 'The process stopped in order';
    case 'recovered':
      return 'The process found itself killed before';
    case 'received':
      return `Received: ${words(type)}`;
    case 'sent':
      return `Sent: ${words(type)}`;
    case 'refused':
      return `Refused: ${detail?.['code'] ?? detail?.['fault'] ?? detail?.['rule'] ?? words(type)}`;
    case 'approved':
      return `The plan is approved: ${detail?.['custodian'] ?? detail?.['mode'] ?? 'unknown'}`;
    case 'result':
      return 'The result was published';
    case 'erased':
      return `Bodies were erased: ${detail?.['reason'] ?? ''}`;
    case 'decision':
      if (detail?.['held'] !== undefined) return `Held for the custodian: ${words(type)}`;
      if (detail?.['taken'] !== undefined) return 'A question of the fit was taken';
      if (detail?.['set'] !== undefined) return 'The records of the analysis are sealed';
      return `Decided: ${detail?.['decision'] ?? words(type)}`;
  }
}

/** `stageOneEstimate` → `stage one estimate`. */
export function words(type = 'a message'): string {
  return type.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
