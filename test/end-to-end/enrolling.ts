/** The coordinator's real server and registry and the agent's real enrolment in one process, each side with a clock of its own. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Desk } from '@concordat/coordinator/exchange/desk.ts';
import { startExchangeServer, type RunningServer } from '@concordat/coordinator/exchange/server.ts';
import { issueServer, makeAuthority, type Authority } from '@concordat/coordinator/sites/authority.ts';
import { SiteRegistry } from '@concordat/coordinator/sites/registry.ts';
import { AGREEING } from '@concordat/node-agent/testing.ts';
import { joinSite } from '@concordat/node-agent/commands/join.ts';
import { ExchangeClient, type ExchangeAnswer } from '@concordat/node-agent/egress/client.ts';
import { dialer } from '@concordat/node-agent/egress/dial.ts';
import { newTlsKey } from '@concordat/node-agent/identity/keys.ts';
import type { Invitation } from '@concordat/proto/concordat/v1/enrolment.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { newFolder } from './federation.ts';

export const DAY = 86_400_000;

export class Consortium {
  readonly folder = newFolder();
  readonly registry: SiteRegistry;
  readonly authority: Authority;
  readonly started: number;
  /** How the coordinator's clock differs from the time of `started`, milliseconds. */
  clock = 0;
  readonly refusals: string[] = [];
  readonly decisions: string[] = [];
  #server!: RunningServer;
  readonly desk = new Desk();

  private constructor(authority: Authority, started: number) {
    this.authority = authority;
    this.started = started;
    this.registry = new SiteRegistry(join(this.folder, 'sites.sqlite'));
  }

  /** `issues`: false for a coordinator whose sites' certificates are another authority's. */
  static async start({ issues = true } = {}): Promise<Consortium> {
    const now = new Date();
    const consortium = new Consortium(await makeAuthority('Test authority', now), now.getTime());
    await consortium.#listen(issues);
    return consortium;
  }

  async #listen(issues: boolean): Promise<void> {
    const { registry, authority } = this;
    // A desk that is closed holds no call.
    this.desk.close();
    const key = newTlsKey(null);
    this.#server = await startExchangeServer({
      listen: '127.0.0.1:0',
      tls: {
        ca: { enrolled: authority.pair.certificate, listed: null },
        certificate: await issueServer(authority, ['127.0.0.1'], key, 365, this.now()),
        key,
      },
      waiting: () => undefined,
      registered: {
        listed: new Map(),
        site: (study) => registry.site(study),
        certificate: (fingerprint) => registry.certificate(fingerprint),
        ownerOf: (signing) => registry.ownerOf(signing),
      },
      enrolment: issues
        ? {
            registry,
            authority,
            days: 30,
            listed: new Set(['LISTED']),
            issued: ({ study, decision }) => this.decisions.push(`${study} ${decision}`),
          }
        : null,
      now: () => this.now(),
      desk: this.desk,
      accept: async () => undefined,
      seen: () => undefined,
      witness: {
        take: () => AGREEING.take(undefined),
        offer: () => AGREEING.offer(),
        halted: () => null,
      },
      refused: (study, code) => this.refusals.push(`${study ?? 'nobody'} ${code}`),
    });
  }

  now(): Date {
    return new Date(this.started + this.clock);
  }

  get address(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  invite(study: string, more: Partial<Invitation> = {}): Invitation {
    const secrets = { id: new Uint8Array(randomBytes(16)), secret: new Uint8Array(randomBytes(32)) };
    const expires = this.now().getTime() + 7 * DAY;
    this.registry.invite({ ...secrets, study, expires });
    return {
      version: 1,
      ...secrets,
      study,
      address: this.address,
      expires: Math.floor(expires / 1000),
      authority: this.authority.fingerprint,
      coordinatorKey: new Uint8Array(32),
      ...more,
    };
  }

  /** `clock`: how the site's clock differs, milliseconds. */
  join(
    invitation: Invitation,
    dir: string,
    { clock = this.clock, keyPassphraseFile }: { clock?: number; keyPassphraseFile?: string } = {},
  ): ReturnType<typeof joinSite> {
    return joinSite(
      invitation,
      { dir, ...(keyPassphraseFile === undefined ? {} : { keyPassphraseFile }) },
      {
        dial: dialer(null),
        now: () => new Date(this.started + clock),
        signal: new AbortController().signal,
      },
    );
  }

  client(pair: { readonly certificate: string; readonly key: string }): ExchangeClient {
    return new ExchangeClient({
      address: this.address,
      ca: this.authority.pair.certificate,
      ...pair,
      dial: dialer(null),
    });
  }

  /** What one exchange with this certificate comes to: `ok`, or the code of its refusal. */
  async exchange(pair: { readonly certificate: string; readonly key: string }): Promise<string> {
    const client = this.client(pair);
    const answer: ExchangeAnswer = await client.exchange([]);
    client.close();
    return answer.status === 'failed' ? answer.failure : answer.status;
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    this.registry.close();
  }
}

export function pairIn(dir: string): { certificate: string; key: string } {
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  return { certificate: read('site.crt'), key: read('tls.key') };
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ConcordatError) return error.code;
    throw error;
  }
  return 'ok';
}
