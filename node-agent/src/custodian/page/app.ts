/**
 * The custodian's page: what waits, what would leave, what left, and the decisions about it. Server-rendered, without
 * scripts. It reads through the desk, and does nothing but hand it decisions that are signed with the custodian's key.
 */
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import cookie from '@fastify/cookie';
import formbody from '@fastify/formbody';
import type { CustodianKey } from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import Fastify, { type FastifyInstance } from 'fastify';

import type { PageAddress } from './address.ts';
import { faultOf, type PageContext, type PageParts } from './context.ts';
import { guard } from './guard.ts';
import { addRoutes } from './routes.ts';
import { Sessions, tokenOf } from './sessions.ts';
import type { SignIn } from './sign-in.ts';
import { addSignIn } from './sign-in-routes.ts';
import { pageDocument } from './views/layout.ts';
import { faultPage } from './views/sign-in.ts';

export interface PageOptions {
  readonly address: PageAddress;
  /** PEM files' texts; null without TLS. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
}

const SWEEP = 60_000;

export async function custodianPage(parts: PageParts, options: PageOptions): Promise<FastifyInstance> {
  const { tls, address } = options;
  const server = {
    logger: false,
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    // A browser that keeps its connection, or waits for a preview, does not hold up an agent that is told to stop.
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

  const context: PageContext = {
    ...parts,
    sessions,
    cookies: cookieNames(parts.study, tls !== null),
    session(request) {
      const session = sessions.use(request.cookies[context.cookies.session]);
      if (session === null || isNamed(parts.signIn, session.key)) return session;
      sessions.close(session.id);
      return null;
    },
    show(reply, session, content, status = 200) {
      const signedIn = session === null ? null : { name: session.key.name, token: tokenOf(session.csrf) };
      const frame = { study: parts.study, signedIn, notice: session?.notice ?? null };
      if (session !== null) session.notice = null;
      return reply.code(status).type('text/html; charset=utf-8').send(pageDocument(frame, content));
    },
  };

  const style = readFileSync(join(import.meta.dirname, 'style.css'), 'utf8');
  app.get('/style.css', (_request, reply) => reply.type('text/css; charset=utf-8').send(style));
  app.setNotFoundHandler((request, reply) =>
    context.show(
      reply,
      context.session(request),
      faultPage('Not found', 'There is no such page, plan or message.'),
      404,
    ),
  );
  app.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    const code = error instanceof ConcordatError ? error.code : 'internal';
    if (status >= 500) parts.logger.error({ event: 'page failed', study: parts.study, code });
    return context.show(
      reply,
      context.session(request),
      {
        ...faultPage('This did not work', 'Nothing was decided and nothing was sent.'),
        fault: faultOf(error),
      },
      status,
    );
  });
  addSignIn(app, context);
  addRoutes(app, context);
  return app;
}

/** Who is taken out of the agreement sees nothing from then on. */
function isNamed(signIn: SignIn, { name, publicKey }: CustodianKey): boolean {
  return signIn.custodians().some((custodian) => custodian.name === name && custodian.key === publicKey);
}

/** Cookies know no ports: pages of several agents on one machine, or through several tunnels, keep theirs apart by study. */
function cookieNames(study: string, secure: boolean): PageContext['cookies'] {
  const own = createHash('sha256').update(study).digest('hex').slice(0, 8);
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
