/** A timeline as a page of its own: the picture, and in tables what it shows. Nothing is fetched, and no script runs. */
import { html, Html } from '@concordat/web/html.ts';
import { table } from '@concordat/web/table.ts';

import { MARK_NAMES, timelineSvg } from './timeline-svg.ts';
import type { Mark, MarkKind, Timeline } from './timeline.ts';

/** Messages that are listed one by one; of more, how many there were is told. */
const MOST_LISTED = 2500;

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1440px; padding: 1rem 1.5rem 3rem; background: Canvas; color: CanvasText; }
.scroll { overflow-x: auto; } svg { width: 100%; height: auto; min-width: 900px; }
table { border-collapse: collapse; font-size: 0.875rem; } caption { text-align: left; font-weight: 600; padding: 1.5rem 0 0.5rem; }
th, td { text-align: left; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid color-mix(in srgb, CanvasText 20%, Canvas); vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; } .explains { margin: 1.5rem 0 0; }`;

export function timelinePage(timeline: Timeline): string {
  const { marks } = timeline;
  const messages = marks.filter(({ way }) => way !== null);
  const happened = marks.filter(({ way }) => way === null);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>Who sent what when – Concordat</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <h1>Who sent what when</h1>
        <div class="scroll" role="group" aria-label="The picture" tabindex="0">${timelineSvg(timeline)}</div>
        <h2>The same in tables</h2>
        ${countsTable(timeline)}
        ${
          happened.length === 0
            ? html`<p>
                No approval, refusal, restart, divergence or erasure is in these logs but what messages say.
              </p>`
            : listing('happened', 'What happened beside messages', happened)
        }
        ${
          messages.length > MOST_LISTED
            ? html`<p>
                ${messages.length} messages are too many to list here;
                <code>concordat audit export</code> writes all of them.
              </p>`
            : listing('messages', 'Every message', messages)
        }
      </body>
    </html> `.text;
}

/** The picture as a file of its own. */
export function timelinePicture(timeline: Timeline): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${timelineSvg(timeline).text}\n`;
}

function countsTable({ parties, marks }: Timeline): Html {
  const kinds = (Object.keys(MARK_NAMES) as MarkKind[]).filter((kind) =>
    marks.some((mark) => mark.kind === kind),
  );
  const byParty = Map.groupBy(marks, ({ party }) => party);
  return table({
    id: 'counts',
    caption: 'How often, by party',
    sentence: 'Questions to the party and answers from it, and what else happened there.',
    columns: ['Party', ...kinds.map((kind) => MARK_NAMES[kind]), 'First', 'Last'],
    rows: parties.map((party) => {
      const own = byParty.get(party) ?? [];
      return [
        party,
        ...kinds.map((kind) => own.filter((mark) => mark.kind === kind).length),
        momentOf(own[0]),
        momentOf(own.at(-1)),
      ];
    }),
  });
}

function listing(id: string, caption: string, marks: readonly Mark[]): Html {
  return table({
    id,
    caption,
    columns: ['Time (UTC)', 'Party', 'What', 'Analysis', 'Round'],
    rows: marks.map((mark) => [momentOf(mark), mark.party, mark.what, mark.analysis, mark.round]),
  });
}

const momentOf = (mark: Mark | undefined): string =>
  mark === undefined ? '' : new Date(mark.time).toISOString().replace('T', ' ').replace('Z', '');
