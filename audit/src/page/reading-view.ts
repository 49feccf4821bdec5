/** Tables of a message, in HTML. */
import { html, type Html } from '@concordat/web/html.ts';
import { table } from '@concordat/web/table.ts';

import type { PayloadReading, PayloadTable } from '../tables.ts';

/** `id`: unique on the page. */
export function readingView(reading: PayloadReading, id: string): Html {
  return html`<p>${reading.sentence}</p>
    ${reading.tables.map((each, i) => payloadTableView(each, `${id}-${i}`))}`;
}

export function payloadTableView({ caption, sentence, columns, rows }: PayloadTable, id: string): Html {
  return table({ id, caption, sentence, columns, rows });
}
