/** Signing in and out. Whatever is wrong with an attempt, the answer is the same. */
import type { FastifyReply, FastifyRequest } from 'fastify';

import { ConcordatError } from '@concordat/shared/errors.ts';

import { Attempts } from './attempts.ts';
import { homeOf, type Page, type PageParts } from './context.ts';
import { count, type FormFault } from './layout.ts';
import { isToken, newSecret, tokenOf } from './sessions.ts';
import { logAuditor, type Account } from './sign-in.ts';
import { signInPage } from './sign-in-view.ts';
import type { OpenedKey } from './sealed-keys.ts';

const STALE: FormFault = {
  message: 'The form was too old, or cookies are switched off.',
  remedy: 'send it once more',
};

interface Credentials {
  readonly name: string;
  readonly passphrase: string;
}

export function addSignIn(
  { app, sessions, show }: Page,
  cookies: { readonly session: string; readonly form: string; readonly secure: boolean },
  parts: PageParts,
): void {
  const { signIn, note, log } = parts;
  const attempts = new Attempts(parts.now);
  const options = { path: '/', httpOnly: true, sameSite: 'strict', secure: cookies.secure } as const;
  const everyone = { config: { access: 'everyone' } } as const;
  /** One key at a time: opening one costs memory on purpose. */
  let opening: Promise<unknown> = Promise.resolve();

  const showForm = (
    request: FastifyRequest,
    reply: FastifyReply,
    fault: FormFault | null,
    status: number,
  ): FastifyReply => {
    const secret = newSecret();
    reply.setCookie(cookies.form, secret, options);
    // Shown as to someone who is not signed in.
    request.session = null;
    return show(request, reply, signInPage(signIn, tokenOf(secret), fault), status);
  };

  /** Of whom the passphrase opens the key that they are known by. */
  const open = async ({
    name,
    passphrase,
  }: Credentials): Promise<{ readonly key: OpenedKey; readonly account: Account } | null> => {
    const account = signIn.accounts().find((each) => each.name === name);
    // Also for a name that is not known, so that the answer takes as long.
    const opened = opening.then(() => signIn.openKey(name, account?.role ?? 'auditor', passphrase));
    opening = opened.catch(() => undefined);
    try {
      const key = await opened;
      return account?.key === key.publicKey ? { key, account } : null;
    } catch (error) {
      if (error instanceof ConcordatError && error.code.startsWith('approval/')) return null;
      throw error;
    }
  };

  app.get('/sign-in', everyone, (request, reply) =>
    request.session === null
      ? showForm(request, reply, null, 200)
      : reply.redirect(homeOf(parts.places, request.session), 303),
  );

  app.post('/sign-in', everyone, async (request, reply) => {
    const body = (request.body ?? {}) as Readonly<Record<string, unknown>>;
    if (!isToken(request.cookies[cookies.form], body['token'])) return showForm(request, reply, STALE, 403);
    const credentials = { name: text(body['name'], 200), passphrase: text(body['passphrase'], 1000) };
    const wait = attempts.wait(credentials.name, request.ip);
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1000);
      reply.header('retry-after', seconds);
      const fault = {
        message: 'There were too many attempts.',
        remedy: `wait ${count(seconds, 'second')}, then try again`,
      };
      return showForm(request, reply, fault, 429);
    }
    attempts.begin(credentials.name, request.ip);
    const opened = await open(credentials);
    if (opened === null) {
      note('warn', { event: 'not signed in', code: 'approval/passphrase' });
      return showForm(request, reply, signIn.wrong, 403);
    }
    const { key, account } = opened;
    attempts.succeed(credentials.name, request.ip);
    leave(request);
    // Before the session is there: who cannot be logged does not get in.
    if (account.role === 'auditor') logAuditor(log, account);
    note('info', { event: `${account.role} signed in` });
    reply.clearCookie(cookies.form, options);
    reply.setCookie(cookies.session, sessions.open(key, account.role).id, options);
    return reply.redirect(homeOf(parts.places, account), 303);
  });

  app.post('/sign-out', everyone, async (request, reply) => {
    const { session } = request;
    const body = (request.body ?? {}) as Readonly<Record<string, unknown>>;
    if (session !== null && !isToken(session.csrf, body['token']))
      return showForm(request, reply, STALE, 403);
    leave(request);
    reply.clearCookie(cookies.session, options);
    return reply.redirect('/sign-in', 303);
  });

  /** A session that the browser still had ends, so that its key is not kept. */
  const leave = (request: FastifyRequest): void => {
    const id = request.cookies[cookies.session];
    if (id !== undefined) sessions.close(id);
  };
}

function text(value: unknown, longest: number): string {
  return typeof value === 'string' && value.length <= longest ? value : '';
}
