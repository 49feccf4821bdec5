/** How the agent reaches the coordinator's host and port. */
import { connect, type Socket } from 'node:net';

import { ConcordatError } from '@concordat/shared/errors.ts';

/** Resolves to a connected socket. Throws `network/…`. */
export type Dial = (host: string, port: number, signal: AbortSignal) => Promise<Socket>;

export const dialDirect: Dial = (host, port, signal) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const fail = (cause: unknown): void => {
      socket.destroy();
      const unresolved = (cause as { code?: string }).code === 'ENOTFOUND';
      reject(
        new ConcordatError(
          unresolved ? 'network/unresolved' : 'network/unreachable',
          unresolved ? 'the host name has no address' : 'no connection to the coordinator',
          { place: `${host}:${port}`, remedy: 'check name, port and firewall', cause },
        ),
      );
    };
    const give = (): void => fail(signal.reason);
    if (signal.aborted) return give();
    signal.addEventListener('abort', give, { once: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      signal.removeEventListener('abort', give);
      socket.off('error', fail);
      resolve(socket);
    });
  });
