/**
 * A page of a program, rendered on the server and without scripts: who may sign in, their sessions, the frame, and what every
 * request and answer must keep. The program adds its routes.
 */
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import cookie from '@fastify/cookie';
import formbody from '@fastify/formbody';
import { ConcordatError } from '@concordat/shared/errors.ts';
import Fastify, { type FastifyInstance } from 'fastify';

import { addAccess } from './access.ts';
import type { PageAddress } from './address.ts';
import { faultOf, homeOf, placesOf, type Page, type PageParts, type Show } from './context.ts';
import { guard } from './guard.ts';
import { faultPage, pageDocument } from './layout.ts';
import { Sessions, tokenOf } from './sessions.ts';
import { addSignIn } from './sign-in-routes.ts';

export interface Listening {
  readonly address: PageAddress;
  /** PEM files' texts; null without TLS. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
}

const SWEEP = 60_000;

export async function newPage(parts: PageParts, { tls, address }: Listening): Promise<Page> {
  const { owner, places, note } = parts;
  const server = {
    logger: false,
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    // A browser that keeps its connection, or waits for an answer, does not hold up a program that is told to stop.
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 64 },
  } as const;
  const app: FastifyInstance =
    tls === null
      ? Fastify(server)
      : Fastify({
          ...server,
          https: { cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' },
        });
  const sessions = new Sessions(parts.now, randomBytes);
  const sweeping = setInterval(() => sessions.sweep(), SWEEP);
  sweeping.unref();
  app.addHook('onClose', () => {
    clearInterval(sweeping);
    sessions.clear();
  });

  await guard(app, { address, certificate: tls === null ? null : new X509Certificate(tls.certificate) });
  await app.register(cookie);
  await app.register(formbody);

  const cookies = cookieNames(owner.name, tls !== null);
  const show: Show = ({ session }, reply, content, status = 200) => {
    const frame = {
      owner,
      places: session === null ? [] : placesOf(places, session.role),
      signedIn:
        session === null
          ? null
          : { name: session.key.name, role: session.role, token: tokenOf(session.csrf) },
      notice: session?.notice ?? null,
    };
    if (session !== null) session.notice = null;
    return reply.code(status).type('text/html; charset=utf-8').send(pageDocument(frame, content));
  };
  addAccess(app, { cookie: cookies.session, sessions, show }, parts);

  const style = readFileSync(join(import.meta.dirname, 'style.css'), 'utf8');
  app.get('/style.css', { config: { access: 'everyone' } }, (_request, reply) =>
    reply.type('text/css; charset=utf-8').send(style),
  );
  app.setNotFoundHandler((request, reply) => {
    const home = homeOf(places, request.session);
    return show(request, reply, faultPage('Not found', 'There is no such page.', home), 404);
  });
  app.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    const code = error instanceof ConcordatError ? error.code : 'internal';
    if (status >= 500) note('error', { event: 'page failed', code });
    const home = homeOf(places, request.session);
    const content = faultPage('This did not work', 'Nothing was decided and nothing was sent.', home);
    return show(request, reply, { ...content, fault: faultOf(error) }, status);
  });
  const page = { app, sessions, show };
  addSignIn(page, cookies, parts);
  return page;
}

/** Cookies know no ports: pages of several programs on one machine, or through several tunnels, keep theirs apart by name. */
function cookieNames(
  name: string,
  secure: boolean,
): { readonly session: string; readonly form: string; readonly secure: boolean } {
  const own = createHash('sha256').update(name).digest('hex').slice(0, 8);
  const prefix = secure ? '__Host-' : '';
  return {
    session: `${prefix}concordat-${own}`,
    form: `${prefix}concordat-form-${own}`,
    secure,
  };
}

function statusOf(error: unknown): number {
  if (error instanceof ConcordatError) return 409;
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}
