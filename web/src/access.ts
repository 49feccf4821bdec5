/** Who is signed in, and what their role may: every route is the custodians' alone unless it says otherwise. */
import type { FastifyInstance } from 'fastify';

import { homeOf, type PageParts, type Show } from './context.ts';
import { faultPage } from './layout.ts';
import type { Session, Sessions } from './sessions.ts';
import type { SignIn } from './sign-in.ts';

const READING = new Set(['GET', 'HEAD']);

/** Before any route is added: each request meets it first, and a route that would let auditors change anything is not taken. */
export function addAccess(
  app: FastifyInstance,
  { cookie, sessions, show }: { readonly cookie: string; readonly sessions: Sessions; readonly show: Show },
  { signIn, places }: Pick<PageParts, 'signIn' | 'places'>,
): void {
  const current = (id: string | undefined): Session | null => {
    const session = sessions.use(id);
    if (session === null || isKnown(signIn, session)) return session;
    sessions.close(session.id);
    return null;
  };
  app.decorateRequest('session', null);
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === 'auditors' && ![method].flat().every((each) => READING.has(each)))
      throw new TypeError(`${String(method)} ${url} changes something, and cannot be for auditors`);
  });
  app.addHook('onRequest', async (request, reply) => {
    request.session = current(request.cookies[cookie]);
    const { access } = request.routeOptions.config;
    if (request.is404 || access === 'everyone') return undefined;
    if (request.session === null) return reply.redirect('/sign-in', 303);
    if (access === 'auditors' || request.session.role === 'custodian') return undefined;
    const home = homeOf(places, request.session);
    return show(request, reply, faultPage('Not for auditors', 'This is not for auditors.', home), 403);
  });
}

/** Who is no longer named, or under another key, sees nothing from then on. */
function isKnown(signIn: SignIn, { key, role }: Session): boolean {
  return signIn
    .accounts()
    .some((account) => account.name === key.name && account.key === key.publicKey && account.role === role);
}
