/** What tests of pages share: keys, passphrases, a log in memory, a clock to set, a visitor. */
import assert from 'node:assert/strict';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signBytes, signingIdentity } from '@concordat/shared/wire/signing.ts';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';

import type { PageParts } from './context.ts';
import type { Listening } from './page.ts';
import type { OpenedKey } from './sealed-keys.ts';
import type { Role } from './sessions.ts';
import type { AuditorLog, SignIn } from './sign-in.ts';

export const PASSPHRASE = 'correct horse battery staple';
export const CUSTODIAN = 'Ada Byron';
export const AUDITOR = 'Uma Audit';
const NAMES: Readonly<Record<Role, string>> = { custodian: CUSTODIAN, auditor: AUDITOR };

export const HOST = '127.0.0.1:8480';
export const LOOPBACK: Listening = {
  address: { host: '127.0.0.1', port: 8480, loopback: true },
  tls: null,
};

function newKey(name: string): OpenedKey {
  const identity = signingIdentity(generateSigningKey(), name);
  return {
    name,
    publicKey: toHex(identity.publicKey),
    sign: (statement) => signBytes(identity, 'concordat.v1 statement\n', statement),
  };
}

/** One account of each role, with keys that `PASSPHRASE` opens. */
export function memorySignIn(...roles: readonly Role[]): SignIn {
  const keys = new Map(roles.map((role) => [role, newKey(NAMES[role])]));
  const accounts = [...keys].map(([role, { name, publicKey }]) => ({ name, role, key: publicKey }));
  return {
    accounts: () => accounts,
    async openKey(name, role, passphrase) {
      const key = keys.get(role);
      if (key?.name !== name || passphrase !== PASSPHRASE)
        throw new ConcordatError('approval/passphrase', 'wrong passphrase');
      return key;
    },
    noAccount: { message: 'Nobody has a key.', remedy: 'Make one with `concordat`.' },
    wrong: { message: 'Name and passphrase do not open a key.', remedy: 'type it again' },
  };
}

export function memoryLog(): AuditorLog & { readonly entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  return {
    entries,
    body: () => new Uint8Array(0),
    append(entry) {
      const logged = { n: entries.length, time: '2026-11-25T05:00:00.000Z', ...entry };
      entries.push(logged);
      return logged;
    },
  };
}

/** `clock.now` is what time it is; `logged`, what was written to the operational log. */
export function surroundings(): {
  readonly clock: { now: number };
  readonly now: () => Date;
  readonly logged: string[];
  readonly note: PageParts['note'];
} {
  const clock = { now: Date.parse('2026-11-25T05:00:00Z') };
  const logged: string[] = [];
  const note: PageParts['note'] = (level, fields) => void logged.push(JSON.stringify({ level, ...fields }));
  return { clock, now: () => new Date(clock.now), logged, note };
}

/** A page that runs without a port, and someone who visits it. */
export interface Started {
  readonly app: FastifyInstance;
  readonly clock: { now: number };
  readonly logged: readonly string[];
  readonly visitor: Visitor;
}

/** A browser as far as the page is concerned: keeps cookies, sends Origin with forms. */
export class Visitor {
  readonly cookies = new Map<string, string>();
  readonly app: FastifyInstance;
  /** As whom they sign in. */
  readonly name: string;

  constructor(app: FastifyInstance, name: string) {
    this.app = app;
    this.name = name;
  }

  async get(
    url: string,
    headers: Record<string, string> = {},
    method: 'GET' | 'HEAD' = 'GET',
  ): Promise<LightMyRequestResponse> {
    return this.#take(
      await this.app.inject({ method, url, headers: { host: HOST, cookie: this.#cookie(), ...headers } }),
    );
  }

  async post(
    url: string,
    fields: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> {
    return this.#take(
      await this.app.inject({
        method: 'POST',
        url,
        headers: {
          host: HOST,
          cookie: this.#cookie(),
          origin: `http://${HOST}`,
          'sec-fetch-site': 'same-origin',
          'content-type': 'application/x-www-form-urlencoded',
          ...headers,
        },
        payload: new URLSearchParams(fields).toString(),
      }),
    );
  }

  /** Fills in the form that posts to `action` on the page at `at`. */
  async submit(
    at: string,
    action: string,
    fields: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> {
    const { body } = await this.get(at);
    return this.post(action, { ...hiddenIn(body, action), ...fields }, headers);
  }

  async signIn(): Promise<void> {
    const answer = await this.submit('/sign-in', '/sign-in', { name: this.name, passphrase: PASSPHRASE });
    assert.equal(answer.statusCode, 303);
    assert.notEqual(answer.headers.location, '/sign-in');
  }

  #cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #take(response: LightMyRequestResponse): LightMyRequestResponse {
    for (const { name, value } of response.cookies) {
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }
}

/** The hidden fields of the form that posts to `action`, which a browser sends with it. */
export function hiddenIn(page: string, action: string): Record<string, string> {
  const form = page.split('<form').find((part) => part.includes(`action="${action}"`));
  assert.ok(form !== undefined, `no form to ${action}`);
  const fields = form.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g);
  return Object.fromEntries([...fields].map(([, name, value]) => [name!, value!]));
}

export const tokenIn = (page: string, action: string): string => hiddenIn(page, action)['token']!;
