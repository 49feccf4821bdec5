/** What every request and answer of a page must keep, before any route is reached. */
import type { X509Certificate } from 'node:crypto';

import helmet from '@fastify/helmet';
import type { FastifyInstance, FastifyRequest } from 'fastify';

import { answersTo, type PageAddress } from './address.ts';

export interface GuardOptions {
  readonly address: PageAddress;
  /** Null without TLS. */
  readonly certificate: X509Certificate | null;
}

/** Turns away with 421 who does not name this page, with 403 a form that another site sent. */
export async function guard(app: FastifyInstance, { address, certificate }: GuardOptions): Promise<void> {
  const tls = certificate !== null;
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    },
    // Not `no-referrer`: with it, browsers send `Origin: null` with the page's own forms.
    referrerPolicy: { policy: 'same-origin' },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: tls ? { maxAge: 31_536_000, includeSubDomains: false } : false,
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store');
    reply.header('permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()');
    if (!answersTo(request.headers.host, address, certificate)) {
      return reply.code(421).type('text/plain').send('This page does not answer under that name.\n');
    }
    if (request.method !== 'GET' && request.method !== 'HEAD' && !isOwnForm(request)) {
      return reply.code(403).type('text/plain').send("Only this page's own forms are taken.\n");
    }
    return undefined;
  });
}

/** Every browser in use sends Origin with a form; what does not is not one of them. */
function isOwnForm({ headers, protocol }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  return (
    (site === undefined || site === 'same-origin') &&
    headers.origin?.toLowerCase() === `${protocol}://${headers.host ?? ''}`.toLowerCase()
  );
}
