/** Signing in and out. Whatever is wrong with an attempt, the answer is the same. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { CustodianKey } from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import type { PageContext } from './context.ts';
import { Attempts } from './attempts.ts';
import { isToken, newSecret, tokenOf } from './sessions.ts';
import { signInPage } from './views/sign-in.ts';
import { count, type FormFault } from './views/layout.ts';

const WRONG: FormFault = {
  message: 'Name and passphrase do not open a key of a custodian whom the agreement names.',
  remedy: 'type the passphrase again; a new key is made with `concordat agent custodian NAME`',
};
const STALE: FormFault = {
  message: 'The form was too old, or cookies are switched off.',
  remedy: 'send it once more',
};

interface Credentials {
  readonly name: string;
  readonly passphrase: string;
}

export function addSignIn(app: FastifyInstance, context: PageContext): void {
  const { signIn, sessions, cookies, logger, study } = context;
  const attempts = new Attempts(context.now);
  const options = { path: '/', httpOnly: true, sameSite: 'strict', secure: cookies.secure } as const;
  /** One key at a time: opening one costs memory on purpose. */
  let opening: Promise<unknown> = Promise.resolve();

  const showForm = (reply: FastifyReply, fault: FormFault | null, status: number): FastifyReply => {
    const secret = newSecret();
    reply.setCookie(cookies.form, secret, options);
    const names = signIn.custodians().map(({ name }) => name);
    return context.show(reply, null, signInPage(names, tokenOf(secret), fault), status);
  };

  const open = async ({ name, passphrase }: Credentials): Promise<CustodianKey | null> => {
    const opened = opening.then(() => signIn.openKey(name, passphrase));
    opening = opened.catch(() => undefined);
    try {
      return await opened;
    } catch (error) {
      if (error instanceof ConcordatError && error.code.startsWith('approval/')) return null;
      throw error;
    }
  };

  app.get('/sign-in', (request, reply) =>
    context.session(request) === null ? showForm(reply, null, 200) : reply.redirect('/', 303),
  );

  app.post('/sign-in', async (request, reply) => {
    const body = (request.body ?? {}) as Readonly<Record<string, unknown>>;
    if (!isToken(request.cookies[cookies.form], body['token'])) return showForm(reply, STALE, 403);
    const credentials = { name: text(body['name'], 200), passphrase: text(body['passphrase'], 1000) };
    const wait = attempts.wait(credentials.name, request.ip);
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1000);
      reply.header('retry-after', seconds);
      const fault = {
        message: 'There were too many attempts.',
        remedy: `wait ${count(seconds, 'second')}, then try again`,
      };
      return showForm(reply, fault, 429);
    }
    attempts.begin(credentials.name, request.ip);
    const key = await open(credentials);
    if (key === null) {
      logger.warn({ event: 'custodian not signed in', study, code: 'approval/passphrase' });
      return showForm(reply, WRONG, 403);
    }
    attempts.succeed(credentials.name, request.ip);
    leave(request);
    logger.info({ event: 'custodian signed in', study });
    reply.clearCookie(cookies.form, options);
    reply.setCookie(cookies.session, sessions.open(key).id, options);
    return reply.redirect('/', 303);
  });

  app.post('/sign-out', async (request, reply) => {
    const session = context.session(request);
    const body = (request.body ?? {}) as Readonly<Record<string, unknown>>;
    if (session !== null && !isToken(session.csrf, body['token'])) return showForm(reply, STALE, 403);
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
