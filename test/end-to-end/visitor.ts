/** Someone at a page that is served. */
import assert from 'node:assert/strict';

/** What a browser does with the page: keeps cookies, sends Origin with forms, follows. */
export class Visitor {
  readonly #base: string;
  readonly #cookies = new Map<string, string>();

  constructor(base: string) {
    this.#base = base;
  }

  async get(path: string): Promise<string> {
    return this.#ask(path, {});
  }

  /** Sends the form of the page at `at` whose action begins with `action`. */
  async submit(at: string, action: RegExp, fields: Record<string, string>): Promise<string> {
    const page = await this.get(at);
    const form = page.split('<form').find((part) => action.test(/action="([^"]+)"/.exec(part)?.[1] ?? ''));
    assert.ok(form, `a form ${action.source} at ${at}: ${page}`);
    const hidden = [...form.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const body = new URLSearchParams({
      ...Object.fromEntries(hidden.map(([, name, value]) => [name, value])),
      ...fields,
    });
    return this.#ask(/action="([^"]+)"/.exec(form)![1]!, { method: 'POST', body });
  }

  async #ask(path: string, init: RequestInit): Promise<string> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(this.#base + path, {
      ...init,
      redirect: 'manual',
      headers: { cookie, origin: this.#base },
    });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      if (value === '') this.#cookies.delete(name!);
      else this.#cookies.set(name!, value!);
    }
    const to = answer.headers.get('location');
    return to === null ? answer.text() : this.get(to);
  }
}
