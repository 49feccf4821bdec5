/**
 * Lets gRPC use a `Dial`. grpc-js takes no connection that was made elsewhere; it does connect to a unix socket. This serves
 * one, in a folder of the agent's own account, and pipes each of its connections to a dialled one. TLS is between gRPC and the
 * coordinator: here only its ciphertext passes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ConcordatError } from '@concordat/shared/errors.ts';

import type { Dial } from './dial.ts';

export interface TunnelOptions {
  readonly host: string;
  readonly port: number;
  readonly dial: Dial;
  /** Milliseconds within which a connection is made, and again within which the far side says its first word. */
  readonly patience: number;
}

export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #server: Server;
  readonly #folder: string;
  /** Ends each connection that is there, or being made. */
  readonly #open = new Set<() => void>();
  #fault: ConcordatError | null = null;
  #connections = 0;

  private constructor(options: TunnelOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#server = createServer((local) => {
      void this.#serve(local);
    });
  }

  /** Throws config/invalid where the temporary folder cannot hold a socket. */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    let folder: string | null = null;
    try {
      folder = await mkdtemp(join(tmpdir(), 'concordat-'));
      const tunnel = new Tunnel(options, folder);
      await new Promise<void>((resolve, reject) => {
        tunnel.#server.once('error', reject);
        tunnel.#server.listen(tunnel.path, () => resolve());
      });
      return tunnel;
    } catch (cause) {
      if (folder !== null) await rm(folder, { recursive: true, force: true });
      throw new ConcordatError('config/invalid', 'no socket can be made in the temporary folder', {
        place: tmpdir(),
        remedy: 'set TMPDIR to a folder with a short path that the agent may write to',
        cause,
      });
    }
  }

  get path(): string {
    return join(this.#folder, 's');
  }

  /** Why the latest connection could not be made; null where it was made. */
  get fault(): ConcordatError | null {
    return this.#fault;
  }

  /** How many connections were made so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Ends all connections; new ones are dialled afresh. */
  drop(): void {
    for (const end of this.#open) end();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.drop();
    await closed;
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #serve(local: Socket): Promise<void> {
    const { host, port, dial, patience } = this.#options;
    const giveUp = new AbortController();
    let dropped = false;
    const end = (): void => {
      dropped = true;
      giveUp.abort();
      local.destroy();
    };
    this.#open.add(end);
    local.on('error', () => undefined);
    local.once('close', () => {
      this.#open.delete(end);
      giveUp.abort();
    });
    const late = setTimeout(() => giveUp.abort(), patience);
    try {
      const remote = await dial(host, port, giveUp.signal);
      this.#fault = null;
      this.#connections++;
      // Whichever side ends first takes the other along: TLS has no use for half a connection, and an answer that is
      // cut short is asked for again.
      remote.on('error', () => undefined);
      remote.once('close', () => local.destroy());
      local.once('close', () => remote.destroy());
      if (local.destroyed) remote.destroy();
      expectWord(remote, patience);
      local.pipe(remote).pipe(local);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      if (!dropped) this.#fault = error;
      local.destroy();
    } finally {
      clearTimeout(late);
    }
  }
}

/** Something on the way may take the connection and never pass it on. */
function expectWord(remote: Socket, patience: number): void {
  const silent = setTimeout(() => remote.destroy(), patience);
  const stop = (): void => clearTimeout(silent);
  remote.once('data', stop);
  remote.once('close', stop);
}
