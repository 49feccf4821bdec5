/** The frame of every page, and the pieces that several pages share. */
import { html, type Html, type Piece } from './html.ts';
import type { Role } from './sessions.ts';

/** Whose page it is: what kind of page (`custodian’s page of study`), and a name, by which cookies are kept apart too. */
export interface Owner {
  readonly page: string;
  readonly name: string;
}

/** An entry of the navigation. */
export interface Place {
  readonly path: string;
  readonly name: string;
  /** Whether auditors see it too; its route is marked for them with `access: 'auditors'`. */
  readonly auditors: boolean;
}

export interface Frame {
  readonly owner: Owner;
  /** Those that who is signed in may go to. */
  readonly places: readonly Place[];
  /** Who is signed in, and their form token; null on the sign-in page. */
  readonly signedIn: { readonly name: string; readonly role: Role; readonly token: string } | null;
  /** What the last form came to. */
  readonly notice: string | null;
}

/** Why a form was not taken. */
export interface FormFault {
  readonly message: string;
  readonly remedy: string | null;
}

export interface PageContent {
  readonly title: string;
  /** Path of the entry of the navigation that is marked. */
  readonly at: string | null;
  readonly fault?: FormFault | null;
  readonly body: Piece;
}

/** The whole document. The title tells the outcome first: it is what a screen reader says when the page has loaded. */
export function pageDocument({ owner, places, signedIn, notice }: Frame, content: PageContent): string {
  const { title, at, fault = null, body } = content;
  const outcome = fault === null ? (notice === null ? '' : `${notice} – `) : 'Not done – ';
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${outcome}${title} – ${owner.name} – Concordat</title>
        <link rel="stylesheet" href="/style.css" />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header>
          <div class="banner">
            <p class="product">
              Concordat <span>${owner.page} <strong>${owner.name}</strong></span>
            </p>
            ${signedIn === null ? null : signOut(signedIn)}
          </div>
          ${
            signedIn === null
              ? null
              : html`<nav aria-label="Pages">
                  <ul>
                    ${places.map(
                      ({ path, name }) =>
                        html`<li>
                          <a href="${path}" ${path === at ? html` aria-current="page"` : null}>${name}</a>
                        </li>`,
                    )}
                  </ul>
                </nav>`
          }
        </header>
        <main id="content" tabindex="-1">
          <h1>${title}</h1>
          ${fault === null ? null : faultBox(fault)}
          ${fault !== null || notice === null ? null : html`<p class="notice" role="status">${notice}</p>`}
          ${body}
        </main>
        <footer>
          <p>
            Nothing on this page comes from elsewhere, and no script runs in it. You are signed out after 15
            minutes without a request, and after 8 hours at the latest.
          </p>
        </footer>
      </body>
    </html> `.text;
}

function signOut({ name, role, token }: NonNullable<Frame['signedIn']>): Html {
  return html`<form method="post" action="/sign-out" class="sign-out">
    ${tokenField(token)}
    <span>Signed in as <strong>${name}</strong>${role === 'auditor' ? ', auditor' : null}</span>
    <button class="plain">Sign out</button>
  </form>`;
}

/** What cannot be shown, and why; `home`: where to go instead. */
export function faultPage(title: string, message: string, home: string): PageContent {
  return {
    title,
    at: null,
    body: html`<p>${message}</p>
      <p><a href="${home}">Go to the start</a></p>`,
  };
}

function faultBox({ message, remedy }: FormFault): Html {
  return html`<div class="fault" role="alert">
    <h2>This was not done</h2>
    <p>${prose(message)}</p>
    ${remedy === null ? null : html`<p>What to do: ${prose(remedy)}</p>`}
  </div>`;
}

export function hiddenField(name: string, value: string): Html {
  return html`<input type="hidden" name="${name}" value="${value}" />`;
}

export const tokenField = (token: string): Html => hiddenField('token', token);

/** Text in which names stand between backticks, as in what is explained and in remedies. */
export function prose(text: string): Piece {
  return text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : part));
}

/** A moment of the log, in UTC and to the second. */
export function moment(time: string): Html {
  const shown = Number.isNaN(Date.parse(time))
    ? time
    : `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  return html`<time datetime="${time}">${shown}</time>`;
}

export function digest(hex: string): Html {
  return html`<code class="digest">${hex}</code>`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** Pairs of a name and what it is. */
export function facts(pairs: readonly (readonly [string, Piece])[]): Html {
  return html`<dl>
    ${pairs.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

export function list(items: readonly Piece[]): Html {
  return html`<ul>
    ${items.map((item) => html`<li>${item}</li>`)}
  </ul>`;
}

/** Whole text of a file, as it is. Reached by the keyboard, because it may be wider than the window. */
export function fileText(name: string, text: string): Html {
  return html`<pre tabindex="0" role="group" aria-label="${name}"><code>${text}</code></pre>`;
}

export const PAGE_LENGTH = 20;

/** `page` from 1. Newest first, so that the next page is older. */
export function pager(path: string, page: number, total: number, length = PAGE_LENGTH): Html | null {
  const last = Math.max(1, Math.ceil(total / length));
  if (last === 1) return null;
  const link = (to: number, text: string): Piece => html`<a href="${path}?page=${to}">${text}</a>`;
  return html`<nav class="pager" aria-label="Parts of this list">
    <p>Part ${page} of ${last}</p>
    ${page > 1 ? link(page - 1, 'Newer') : null} ${page < last ? link(page + 1, 'Older') : null}
  </nav>`;
}
