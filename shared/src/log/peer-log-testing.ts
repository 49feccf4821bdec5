/** Two sides that witness each other's logs, in folders of their own, under one clock that tests move. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { ConcordatError } from '../errors.ts';
import { generateSigningKey, signingIdentity, type SigningIdentity } from '../wire/signing.ts';
import { acknowledgeDivergences } from './divergence.ts';
import { MessageLog } from './message-log.ts';
import { COORDINATOR_ORIGIN, siteOrigin } from './note.ts';
import { PeerLog, type Standpoint } from './peer-log.ts';

const root = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'peer-log-'));
after(() => fs.rmSync(root, { recursive: true }));
/** A test may put another function in. */
export const files = { ...fs, fsyncSync: () => undefined };
/** Of both sides. */
export const clock = { time: Date.parse('2026-01-01T00:00:00Z') };
const now = (): Date => new Date(clock.time);
export const code = (expected: string) => (error: unknown) =>
  error instanceof ConcordatError && error.code === expected;

/** One side of a pair, with its log in a folder. */
export class Side {
  readonly directory = fs.mkdtempSync(join(root, 'log-'));
  readonly name: string;
  readonly origin: string;
  identity: SigningIdentity;
  #peer: Side | null = null;
  readonly warnings: string[] = [];
  log!: MessageLog;
  peer!: PeerLog;

  constructor(name: string, origin = siteOrigin(name)) {
    this.name = name;
    this.origin = origin;
    this.identity = signingIdentity(generateSigningKey(), name);
  }

  /** The process begins, or begins again. */
  start(peer: Side | null = this.#peer): this {
    this.#peer = peer;
    this.log = new MessageLog({
      fs: files,
      directory: this.directory,
      origin: this.origin,
      identity: this.identity,
      now,
      randomBytes: (n) => randomBytes(n),
    });
    this.log.append({ kind: 'start' });
    this.peer = new PeerLog({
      log: this.log,
      identity: this.identity,
      peer: peer!.name,
      origin: peer!.origin,
      key: peer!.identity.publicKey,
      now,
      told: () => undefined,
      warned: (warning) => this.warnings.push(warning),
    });
    return this;
  }

  stop(): void {
    this.peer.close();
    this.log.close();
  }

  /** As it is on disk now. */
  backup(): () => void {
    const copy = fs.mkdtempSync(join(root, 'copy-'));
    fs.cpSync(this.directory, copy, { recursive: true });
    return () => {
      fs.rmSync(this.directory, { recursive: true });
      fs.cpSync(copy, this.directory, { recursive: true });
    };
  }

  grow(entries = 1): void {
    for (let i = 0; i < entries; i++) this.log.append({ kind: 'decision', peer: this.#peer!.name });
  }

  acknowledge(note = ''): string {
    const peer = this.#peer!;
    return acknowledgeDivergences(fs, this.directory, { peer: peer.name, origin: peer.origin, note });
  }

  /** A note that is kept beside the log. */
  kept(folder: 'witness' | 'cosigned'): string {
    return fs.readFileSync(join(this.directory, folder, encodeURIComponent(this.#peer!.origin)), 'utf8');
  }

  get divergences(): readonly (readonly unknown[])[] {
    return this.log.entries
      .filter(({ type }) => type === 'divergence')
      .map(({ detail }) => [detail?.['divergence'], detail?.['log']]);
  }
}

export function pair(): { readonly site: Side; readonly coordinator: Side } {
  const site = new Side('A');
  const coordinator = new Side('coordinator', COORDINATOR_ORIGIN).start(site);
  return { site: site.start(coordinator), coordinator };
}

/** A request, and its answer where that is not lost; the coordinator's view, and the site's. */
export function call(
  site: Side,
  coordinator: Side,
  lost = false,
  milliseconds = 2000,
): readonly [Standpoint, Standpoint | null] {
  clock.time += milliseconds;
  const request = site.peer.offer();
  const taken = coordinator.peer.take(request);
  const response = coordinator.peer.offer(taken === 'unproven');
  return [taken, lost ? null : site.peer.take(response)];
}

/** Calls until nothing has to be proven again, as an agent does. */
export function exchange(site: Side, coordinator: Side, milliseconds?: number): Standpoint {
  for (let n = 0; n < 3; n++) {
    const [, standpoint] = call(site, coordinator, false, milliseconds);
    if (standpoint !== 'unproven') return standpoint!;
  }
  return 'unproven';
}
