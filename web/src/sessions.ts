/**
 * Who is signed in, in memory alone: a session holds its owner's opened key, and ends with it. Its id is random, made
 * at sign-in, and never taken from the browser, so that none can be fixed beforehand.
 */
import { Tokens } from '@fastify/csrf';

import type { OpenedKey } from './sealed-keys.ts';

const MINUTE = 60_000;
/** Without a request. */
const IDLE = 15 * MINUTE;
const ABSOLUTE = 8 * 60 * MINUTE;

/** What a person may: a custodian everything that the page has, an auditor to read what is marked for auditors. */
export type Role = 'custodian' | 'auditor';

export interface Session {
  readonly id: string;
  readonly key: OpenedKey;
  readonly role: Role;
  readonly csrf: string;
  readonly started: number;
  used: number;
  /** What the last form came to; shown once. */
  notice: string | null;
}

const tokens = new Tokens({ userInfo: false });

export const newSecret = (): string => tokens.secretSync();
export const tokenOf = (secret: string): string => tokens.create(secret);

export function isToken(secret: string | undefined, token: unknown): boolean {
  return secret !== undefined && typeof token === 'string' && tokens.verify(secret, token);
}

export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly #now: () => Date;
  readonly #randomBytes: (n: number) => Uint8Array;

  constructor(now: () => Date, randomBytes: (n: number) => Uint8Array) {
    this.#now = now;
    this.#randomBytes = randomBytes;
  }

  open(key: OpenedKey, role: Role): Session {
    const now = this.#now().getTime();
    const id = Buffer.from(this.#randomBytes(32)).toString('base64url');
    const session: Session = {
      id,
      key,
      role,
      csrf: newSecret(),
      started: now,
      used: now,
      notice: null,
    };
    this.#sessions.set(id, session);
    return session;
  }

  /** The session that still holds, used now. */
  use(id: string | undefined): Session | null {
    this.sweep();
    const session = id === undefined ? undefined : this.#sessions.get(id);
    if (session === undefined) return null;
    session.used = this.#now().getTime();
    return session;
  }

  close(id: string): void {
    this.#sessions.delete(id);
  }

  /** Forgets the keys of those whose time is over, whether or not they come back. */
  sweep(): void {
    const now = this.#now().getTime();
    for (const { id, started, used } of this.#sessions.values()) {
      if (now - used >= IDLE || now - started >= ABSOLUTE) this.#sessions.delete(id);
    }
  }

  clear(): void {
    this.#sessions.clear();
  }

  get size(): number {
    return this.#sessions.size;
  }
}
