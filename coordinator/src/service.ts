/**
 * The coordinator without a run: its keys, journal, log, sites and server. Agents enrol and wait; a run, where there is one,
 * uses its desk.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';

import type { FastifyInstance } from 'fastify';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { COORDINATOR_ORIGIN } from '@concordat/shared/log/note.ts';
import { cannotListen, parseAddress } from '@concordat/shared/plan/address.ts';
import { divergenceCode } from '@concordat/shared/log/witness.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { fromHex, toHex } from '@concordat/shared/wire/digest.ts';
import { signingIdentity, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import { auditorsFolder, type CoordinatorConfig } from './config.ts';
import { Desk } from './exchange/desk.ts';
import { startExchangeServer, type RunningServer } from './exchange/server.ts';
import { Witnesses } from './exchange/witnesses.ts';
import { readConfigured } from './files.ts';
import { healthServer } from './http/health.ts';
import type { Logger } from './logger.ts';
import type { Registered } from './sites/admission.ts';
import type { Authority } from './sites/authority.ts';
import { SiteRegistry } from './sites/registry.ts';
import { readAuthority, serverTls } from './sites/server-certificate.ts';
import { Journal } from './store/journal.ts';
import { RefusedReplies } from './store/refused-replies.ts';

export interface ServiceOptions {
  readonly config: CoordinatorConfig;
  readonly software: string;
  readonly progress: (event: ServiceEvent) => void;
  readonly logger: Logger;
}

export type ServiceEvent =
  | { readonly event: 'listening'; readonly port: number; readonly sites: number }
  | { readonly event: 'site'; readonly study: string }
  | { readonly event: 'enrolled' | 'renewed'; readonly study: string; readonly certificate: string }
  | {
      readonly event: 'divergence' | 'acknowledgement';
      readonly study: string;
      readonly code: ErrorCode;
    };

export interface KnownSite {
  readonly study: string;
  /** Public signing key, 32 bytes. */
  readonly key: Uint8Array;
}

type Accept = (study: string, reply: SignedMessage) => Promise<void>;
/** Takes what a site says of its tasks: these wait for its custodian. */
type Waiting = (study: string, tasks: ReadonlySet<string>) => void;

/** How often the server's certificate is looked at, milliseconds. */
const CERTIFICATE_CHECK = 60 * 60_000;

export class Service {
  readonly #options: ServiceOptions;
  readonly #registry: SiteRegistry | null;
  readonly #authority: Authority | null;
  readonly #contacts = new Map<string, string>();
  readonly journal: Journal;
  readonly log: MessageLog;
  readonly refused: RefusedReplies;
  readonly identity: SigningIdentity;
  readonly desk = new Desk();
  readonly #witnesses: Witnesses;
  #server: RunningServer | null = null;
  #health: FastifyInstance | null = null;
  #auditPage: FastifyInstance | null = null;
  #check: NodeJS.Timeout | undefined;
  /** What the server listens with, as text. */
  #tls = '';
  /** Revocations that are in the log. */
  #noted: Set<string> | null = null;
  /** What takes the sites' replies: the run. Until there is one, no reply was asked for. */
  #accept: Accept = async (study, reply) =>
    this.refused.keep(study, encode(SignedMessage, reply, 'a reply'), 'late', runOf(reply));
  #waiting: Waiting = () => undefined;

  constructor(options: ServiceOptions) {
    const { config } = options;
    this.#options = options;
    this.identity = signingIdentity(readConfigured(config.signing_key), config.signing_key);
    this.#authority = readAuthority(config);
    // First: it is locked, so that no second coordinator writes to the log.
    this.journal = new Journal(config.state);
    this.log = new MessageLog({
      fs,
      directory: config.log,
      origin: COORDINATOR_ORIGIN,
      identity: this.identity,
      now,
      randomBytes: (n) => randomBytes(n),
    });
    this.refused = new RefusedReplies(this.log);
    this.#registry = config.enrolment === null ? null : new SiteRegistry(config.enrolment.registry);
    const listed = new Map(config.sites.map(({ study, key }) => [study, fromHex(key)]));
    this.#witnesses = new Witnesses({
      log: this.log,
      identity: this.identity,
      now,
      keyOf: (study) => listed.get(study) ?? this.#registry?.site(study)?.key ?? null,
      told: (study, event, { kind }) => {
        const code = divergenceCode(kind);
        options.progress({ event, study, code });
        if (event === 'divergence') options.logger('error', { event: 'logs diverged', study, code });
        else options.logger('info', { event: 'divergence acknowledged', study, code });
      },
      warned: (study, event) => options.logger('warn', { event, study }),
    });
  }

  /** Those that are listed, and those that are enrolled and not revoked. */
  sites(): readonly KnownSite[] {
    return [
      ...this.#options.config.sites.map(({ study, key }) => ({ study, key: fromHex(key) })),
      ...(this.#registry?.sites() ?? [])
        .filter(({ revoked }) => revoked === null)
        .map(({ study, key }) => ({ study, key })),
    ];
  }

  /** Also those that are revoked: a run that began with one ends without its answers, and not as another run. */
  known(): readonly KnownSite[] {
    return [...this.sites(), ...(this.#registry?.sites() ?? [])];
  }

  /** Whether sites can come that are not there yet. */
  get enrols(): boolean {
    return this.#registry !== null;
  }

  get listens(): boolean {
    return this.#server !== null;
  }

  /** From here on the sites' replies are the run's. */
  take(accept: Accept, waiting: Waiting): void {
    this.#accept = accept;
    this.#waiting = waiting;
  }

  async listen(): Promise<void> {
    const { config, progress, logger } = this.#options;
    this.#noteRevocations();
    const tls = await serverTls(config, this.#authority, now());
    this.#server = await startExchangeServer({
      listen: config.listen,
      tls,
      registered: this.#registered(),
      enrolment: this.#enrolment(),
      now,
      desk: this.desk,
      accept: (study, reply) => this.#accept(study, reply),
      waiting: (study, tasks) => this.#waiting(study, tasks),
      witness: this.#witnesses,
      seen: (study) => {
        if (!this.#contacts.has(study)) progress({ event: 'site', study });
        this.#contacts.set(study, now().toISOString());
      },
      refused: (study, code) => {
        if (code === 'enrolment/revoked') this.#noteRevocations();
        logger('warn', { event: 'exchange refused', code, ...(study === null ? {} : { study }) });
      },
    });
    this.#tls = JSON.stringify(tls);
    this.#check = setInterval(() => void this.#renewServer(), CERTIFICATE_CHECK);
    this.#check.unref();
    await this.#listenForHealth(config.health);
    await this.#listenForAuditors(config);
    progress({ event: 'listening', port: this.#server.port, sites: this.sites().length });
  }

  async close(run: string | undefined): Promise<void> {
    clearInterval(this.#check);
    this.#noteRevocations();
    await this.#server?.stop();
    await this.#health?.close();
    await this.#auditPage?.close();
    this.#witnesses.close();
    this.refused.close();
    this.log.append({ kind: 'stop', ...(run === undefined ? {} : { run }) });
    this.log.close();
    this.#registry?.close();
    this.journal.close();
  }

  /** The server's certificate, where another is there or is due; the connections that there are go on. */
  async #renewServer(): Promise<void> {
    const { config, logger } = this.#options;
    try {
      const tls = await serverTls(config, this.#authority, now());
      if (JSON.stringify(tls) === this.#tls) return;
      this.#server?.replace(tls);
      this.#tls = JSON.stringify(tls);
      logger('info', { event: 'server certificate replaced' });
    } catch (error) {
      // The one in use goes on until its end.
      const code = error instanceof ConcordatError ? error.code : 'config/invalid';
      logger('warn', { event: 'server certificate not replaced', code });
    }
  }

  async #listenForHealth(address: string | undefined): Promise<void> {
    if (address === undefined) return;
    this.#health = healthServer(() =>
      this.sites().map(({ study }) => ({
        study,
        lastSeen: this.#contacts.get(study) ?? null,
        halted: this.#haltedCode(study),
      })),
    );
    await this.#health.listen(parseAddress(address)).catch((error: unknown) => {
      throw cannotListen(address, error);
    });
  }

  #haltedCode(study: string): ErrorCode | null {
    const kind = this.#witnesses.halted(study);
    return kind === null ? null : divergenceCode(kind);
  }

  async #listenForAuditors(config: CoordinatorConfig): Promise<void> {
    if (config.audit_page === undefined) return;
    // Loaded where it is asked for: a coordinator without it stays smaller.
    const { auditorsIn, serveAuditPage } = await import('./http/audit-page.ts');
    this.#auditPage = await serveAuditPage(config.audit_page, {
      address: config.address ?? config.listen,
      key: this.identity.publicKey,
      log: this.log,
      folder: config.log,
      signIn: auditorsIn(auditorsFolder(config)),
      logger: this.#options.logger,
      now,
    });
  }

  #registered(): Registered & { ownerOf(key: Uint8Array): string | null } {
    const { sites } = this.#options.config;
    const owners = new Map(sites.map(({ study, key }) => [key, study]));
    return {
      listed: new Map(sites.map(({ study, certificate }) => [certificate, study])),
      site: (study) => this.#registry?.site(study) ?? null,
      certificate: (fingerprint) => this.#registry?.certificate(fingerprint) ?? null,
      ownerOf: (key) => owners.get(toHex(key)) ?? this.#registry?.ownerOf(key) ?? null,
    };
  }

  #enrolment(): Parameters<typeof startExchangeServer>[0]['enrolment'] {
    const { config, progress } = this.#options;
    if (this.#registry === null || this.#authority === null) return null;
    return {
      registry: this.#registry,
      authority: this.#authority,
      days: config.enrolment?.days ?? 0,
      listed: new Set(config.sites.map(({ study }) => study)),
      issued: ({ study, decision, certificate, key }) => {
        this.log.append({ kind: 'decision', peer: study, detail: { decision, certificate, key } });
        progress({ event: decision, study, certificate });
      },
    };
  }

  /** The command line revokes beside this process, and cannot write to its log. */
  #noteRevocations(): void {
    this.#noted ??= new Set(
      this.log.entries.map(({ peer, detail }) => JSON.stringify([peer, detail?.['revoked'] ?? null])),
    );
    for (const { study, since } of this.#registry?.sites() ?? []) {
      if (since === null) continue;
      const revoked = new Date(since).toISOString();
      const what = JSON.stringify([study, revoked]);
      if (this.#noted.has(what)) continue;
      this.#noted.add(what);
      this.log.append({ kind: 'decision', peer: study, detail: { decision: 'revoked', revoked } });
    }
  }
}

function now(): Date {
  return new Date();
}

/** The run that a reply says it is of, so that it is found with the others of that run; none where it cannot be read. */
function runOf({ body }: SignedMessage): { readonly run?: string } {
  try {
    const { header } = decode(SiteMessage, body, 'a reply');
    return header?.run.length === 16 ? { run: toHex(header.run) } : {};
  } catch {
    return {};
  }
}
