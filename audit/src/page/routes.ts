/** Pages about a log for those who audit it: they read, and change nothing. Mounted on the pages of both programs. */
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { sessionOf, type Page } from '@concordat/web/context.ts';
import type { Session } from '@concordat/web/sessions.ts';
import type { FastifyRequest } from 'fastify';

import type { AuditedEntry } from '../audited-entry.ts';
import { describeEntry, messageIn } from '../describe.ts';
import { packed } from '../pack.ts';
import { proofOf } from '../receipt.ts';
import { RunNames } from '../run-names.ts';
import { notesAt, Snapshot } from '../snapshot.ts';
import { filterIn, search } from './filter.ts';
import { AUDIT_LENGTH, AUDIT_PATH, entryPage, listPage } from './views.ts';

export interface AuditParts {
  readonly title: string;
  readonly log: Pick<MessageLog, 'entries' | 'body' | 'checkpoint' | 'tree' | 'note'>;
  /** Where the log lies. */
  readonly folder: string;
  /** Types of bodies that stay with custodians; none where a log has nothing that auditors are not to see. */
  readonly kept: ReadonlySet<string>;
}

export function addAuditRoutes({ app, show }: Page, parts: AuditParts): void {
  const { log, folder, title, kept } = parts;
  const options = { config: { access: 'auditors' } } as const;
  const mayHave = ({ role }: Session): boolean => kept.size === 0 || role === 'custodian';
  const mayRead = (session: Session, { type }: LogEntry): boolean =>
    mayHave(session) || !kept.has(type ?? '');

  app.get(AUDIT_PATH, options, (request, reply) => {
    const filter = filterIn(request.query);
    const page = pageOf(request);
    const { size, root } = log.checkpoint();
    const { found, total } = search(log.entries, filter, (page - 1) * AUDIT_LENGTH, AUDIT_LENGTH);
    if (found.length === 0 && page > 1) return reply.callNotFound();
    const bodies = mayHave(sessionOf(request));
    return show(request, reply, listPage({ title, size, root, filter, found, total, page, bodies }));
  });
  app.get(`${AUDIT_PATH}/entry/:n`, options, (request, reply) => {
    const entry = entryOf(log, request);
    if (entry === null) return reply.callNotFound();
    const body = mayRead(sessionOf(request), entry) ? bodyOf(log, entry) : 'withheld';
    const reading = describeEntry(entry, body, namesFor(log, entry));
    const proof = proofOf({ tree: log.tree, note: log.note, notes: notesAt(folder) }, entry.n);
    return show(request, reply, entryPage({ entry, reading, proof, size: log.entries.length }));
  });
  app.get(`${AUDIT_PATH}/entry/:n/receipt`, options, (request, reply) => {
    const entry = entryOf(log, request);
    if (entry === null) return reply.callNotFound();
    const proof = proofOf({ tree: log.tree, note: log.note, notes: notesAt(folder) }, entry.n);
    return reply
      .type('application/octet-stream')
      .header('content-disposition', `attachment; filename="entry-${entry.n}.tlog-proof"`)
      .send(proof);
  });
  app.get(`${AUDIT_PATH}/entry/:n/leaf`, options, (request, reply) => {
    const entry = entryOf(log, request);
    if (entry === null) return reply.callNotFound();
    return reply
      .type('application/json')
      .header('content-disposition', `attachment; filename="entry-${entry.n}.entry.json"`)
      .send(Buffer.from(JSON.stringify(entry)));
  });
  app.get(`${AUDIT_PATH}/bundle`, options, (request, reply) => {
    const bodies = (request.query as Readonly<Record<string, unknown>>)['bodies'] !== 'no';
    if (bodies && !mayHave(sessionOf(request))) return reply.callNotFound();
    return reply
      .type('application/x-tar')
      .header('content-disposition', `attachment; filename="log${bodies ? '' : '-without-bodies'}.tar"`)
      .send(packed(new Snapshot(folder), { bodies }));
  });
}

function entryOf(log: AuditParts['log'], request: FastifyRequest): LogEntry | null {
  const written = (request.params as Readonly<Record<string, string>>)['n'] ?? '';
  return /^(0|[1-9]\d{0,14})$/.test(written) ? (log.entries[Number(written)] ?? null) : null;
}

function pageOf(request: FastifyRequest): number {
  const page = Number((request.query as Readonly<Record<string, unknown>>)['page'] ?? 1);
  return Number.isInteger(page) && page >= 1 && page <= 1_000_000 ? page : 1;
}

function bodyOf(log: AuditParts['log'], entry: LogEntry): AuditedEntry['body'] {
  if (!hasBody(entry)) return null;
  try {
    return log.body(entry);
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    return error.code === 'log/erased' ? 'erased' : 'unusable';
  }
}

/** From the run's offer, and a question of the analysis. */
function namesFor(log: AuditParts['log'], { run, analysis }: LogEntry): RunNames {
  const names = new RunNames();
  if (run === undefined) return names;
  const take = (entry: LogEntry | undefined): void => {
    const body = entry === undefined ? null : bodyOf(log, entry);
    const message = body instanceof Uint8Array ? messageIn(entry!, body) : null;
    if (message?.from === 'coordinator') names.take(message.message);
  };
  const ofRun = (fits: (entry: LogEntry) => boolean): LogEntry | undefined =>
    log.entries.find((entry) => entry.run === run && fits(entry));
  take(ofRun(({ type }) => type === 'planOffer'));
  take(ofRun((entry) => entry.analysis === analysis && entry.type?.endsWith('Question') === true));
  return names;
}
