/** The pages of an audit: the list of a log's entries, and each opened. */
import { ENTRY_KINDS, type LogEntry } from '@concordat/shared/log/entry.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { html, type Html, type Piece } from '@concordat/web/html.ts';
import { count, digest, facts, fileText, moment, type PageContent } from '@concordat/web/layout.ts';
import { table } from '@concordat/web/table.ts';

import { entryTable, heading } from '../describe.ts';
import type { PayloadReading } from '../tables.ts';
import { FILTERS, isEmpty, type Filter } from './filter.ts';
import { payloadTableView, readingView } from './reading-view.ts';

export const AUDIT_PATH = '/audit';
export const AUDIT_LENGTH = 50;

interface Listed {
  readonly title: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly filter: Filter;
  readonly found: readonly LogEntry[];
  readonly total: number;
  readonly page: number;
  /** Whether who looks may have what the messages say in one file. */
  readonly bodies: boolean;
}

export function listPage({ title, size, root, filter, found, total, page, bodies }: Listed): PageContent {
  return {
    title,
    at: AUDIT_PATH,
    body: html`<p>
        Every entry is a leaf of a Merkle tree, whose root is signed: what was taken out, changed or added
        shows.
        <code>concordat audit verify</code> checks a bundle of it anywhere.
      </p>
      ${facts([
        ['Entries', size],
        ['Root', digest(toHex(root))],
        [
          'To hand over',
          html`${bodies ? html`<a href="${AUDIT_PATH}/bundle">the whole log</a>, or ` : null}<a
              href="${AUDIT_PATH}/bundle?bodies=no"
              >the log without what messages say</a
            >
            (.tar)`,
        ],
      ])}
      ${searchForm(filter)}
      <p role="status">
        ${isEmpty(filter) ? count(total, 'entry', 'entries') : `${count(total, 'entry', 'entries')} found`}.
      </p>
      ${
        found.length === 0
          ? null
          : table({
              id: 'entries',
              caption: 'Entries, newest first',
              columns: ['Entry', 'Time', 'What', 'Other side', 'Run', 'Analysis', 'Round'],
              rows: found.map((entry): Piece[] => [
                html`<a href="${AUDIT_PATH}/entry/${entry.n}">${entry.n}</a>`,
                moment(entry.time),
                heading(entry),
                entry.peer ?? null,
                entry.run === undefined ? null : html`<code>${entry.run.slice(0, 8)}</code>`,
                entry.analysis ?? null,
                entry.round === undefined ? null : `${entry.round}`,
              ]),
            })
      }
      ${pages(filter, page, total)}`,
  };
}

const LABELS: Readonly<Record<keyof Filter, string>> = {
  kind: 'Kind',
  type: 'Type, e.g. stageOneEstimate',
  run: 'Run, its first digits',
  analysis: 'Analysis',
  peer: 'Other side',
  from: 'From (year-month-day)',
  until: 'Until (year-month-day)',
  text: 'Text in the entry',
};

function searchForm(filter: Filter): Html {
  return html`<form method="get" action="${AUDIT_PATH}" role="search" class="filters">
    ${FILTERS.map((name) =>
      name === 'kind'
        ? html`<p>
            <label for="filter-kind">${LABELS.kind}</label>
            <select id="filter-kind" name="kind">
              <option value="">any</option>
              ${ENTRY_KINDS.map(
                (kind) =>
                  html`<option value="${kind}" ${kind === filter.kind ? html` selected` : null}>
                    ${kind}
                  </option>`,
              )}
            </select>
          </p>`
        : html`<p>
            <label for="filter-${name}">${LABELS[name]}</label>
            <input id="filter-${name}" name="${name}" value="${filter[name]}" maxlength="200" />
          </p>`,
    )}
    <p><button>Search</button> ${isEmpty(filter) ? null : html`<a href="${AUDIT_PATH}">Show all</a>`}</p>
  </form>`;
}

function pages(filter: Filter, page: number, total: number): Html | null {
  const last = Math.max(1, Math.ceil(total / AUDIT_LENGTH));
  if (last === 1) return null;
  const link = (to: number, text: string): Html => {
    const query = new URLSearchParams();
    for (const name of FILTERS) if (filter[name] !== '') query.set(name, filter[name]);
    query.set('page', `${to}`);
    return html`<a href="${AUDIT_PATH}?${query.toString()}">${text}</a>`;
  };
  return html`<nav class="pager" aria-label="Parts of this list">
    <p>Part ${page} of ${last}</p>
    ${page > 1 ? link(page - 1, 'Newer') : null} ${page < last ? link(page + 1, 'Older') : null}
  </nav>`;
}

export interface OpenedEntry {
  readonly entry: LogEntry;
  readonly reading: PayloadReading;
  /** C2SP tlog-proof; null for an entry behind the checkpoint. */
  readonly proof: string;
  readonly size: number;
}

export function entryPage({ entry, reading, proof, size }: OpenedEntry): PageContent {
  const { n } = entry;
  return {
    title: `Entry ${n}: ${reading.title}`,
    at: AUDIT_PATH,
    body: html`<nav class="pager" aria-label="Neighbours">
        ${n > 0 ? html`<a href="${AUDIT_PATH}/entry/${n - 1}">Entry ${n - 1}</a>` : null}
        ${n + 1 < size ? html`<a href="${AUDIT_PATH}/entry/${n + 1}">Entry ${n + 1}</a>` : null}
      </nav>
      ${payloadTableView(entryTable(entry), 'entry')}
      <h2>What it says</h2>
      ${readingView(reading, 'body')}
      <h2>Proof that it is in the log</h2>
      <p>
        <a href="${AUDIT_PATH}/entry/${n}/receipt">The receipt</a> (C2SP tlog-proof) and
        <a href="${AUDIT_PATH}/entry/${n}/leaf">the entry as it was written</a> prove it to anyone who has the
        log’s public key, without the log: <code>concordat audit receipt --check</code>.
      </p>
      ${fileText('The receipt', proof)}`,
  };
}
