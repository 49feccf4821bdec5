/** Tables that a keyboard and a screen reader can use. */
import { html, type Html, type Piece } from './html.ts';

/** The first cell of a row is its heading. A wide table scrolls in its own box, which the keyboard can reach. */
export function table(content: {
  /** Unique on the page. */
  readonly id: string;
  readonly caption: string;
  readonly sentence?: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Piece[])[];
}): Html {
  const { id, caption, sentence, columns, rows } = content;
  return html`${sentence === undefined ? null : html`<p class="explains">${sentence}</p>`}
    <div class="scroll" role="group" aria-labelledby="${id}" tabindex="0">
      <table>
        <caption id="${id}">
          ${caption}
        </caption>
        <thead>
          <tr>
            ${columns.map((column) => html`<th scope="col">${column}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ([name = null, ...cells]) =>
              html`<tr>
                <th scope="row">${name}</th>
                ${cells.map(cellView)}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>`;
}

function cellView(cell: Piece): Html {
  return typeof cell === 'number' ? html`<td class="number">${cell}</td>` : html`<td>${cell}</td>`;
}
