/** Asks this machine's own health endpoint whether the agent beside it is alive. Nothing is sent but the question. */
import { get } from 'node:http';

import { parseAddress } from '@concordat/shared/plan/address.ts';

/** Milliseconds after which no answer is one. */
const PATIENCE = 5_000;

/** The answer as JSON text; null where none comes, or another status than 200. */
export function probe(address: string): Promise<string | null> {
  const { host, port } = parseAddress(address);
  return new Promise((resolve) => {
    const request = get({ host, port, path: '/health', timeout: PATIENCE }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? Buffer.concat(parts).toString('utf8') : null),
      );
    });
    request.on('timeout', () => request.destroy());
    request.on('close', () => resolve(null));
    request.on('error', () => resolve(null));
  });
}
