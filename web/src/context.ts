/** What a page is made of, and what its routes share. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { ConcordatError } from '@concordat/shared/errors.ts';

import type { FormFault, Owner, PageContent, Place } from './layout.ts';
import type { Role, Session, Sessions } from './sessions.ts';
import type { AuditorLog, SignIn } from './sign-in.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Who may use the route. Left out: custodians alone. `auditors`: auditors too; such a route reads, and is refused when it is added
     * otherwise. `everyone`: also who is not signed in.
     */
    readonly access?: 'auditors' | 'everyone';
  }
  interface FastifyRequest {
    /** Of who is signed in. Never null in a route that is not for everyone. */
    session: Session | null;
  }
}

/** What a program gives of its page. */
export interface PageParts {
  readonly owner: Owner;
  /** The navigation. The first place that a role may go to is where its sign-in leads. */
  readonly places: readonly Place[];
  readonly signIn: SignIn;
  readonly log: AuditorLog;
  /** To the operational log. */
  readonly note: (
    level: 'info' | 'warn' | 'error',
    fields: { readonly event: string; readonly code?: string },
  ) => void;
  readonly now: () => Date;
}

/** Sends a page as who is signed in sees it. */
export type Show = (
  request: FastifyRequest,
  reply: FastifyReply,
  content: PageContent,
  status?: number,
) => FastifyReply;

/** A page that takes routes. */
export interface Page {
  readonly app: FastifyInstance;
  readonly sessions: Sessions;
  readonly show: Show;
}

export function placesOf(places: readonly Place[], role: Role): readonly Place[] {
  return places.filter(({ auditors }) => auditors || role === 'custodian');
}

/** Where who is signed in begins; null: who is not. */
export function homeOf(places: readonly Place[], session: Pick<Session, 'role'> | null): string {
  const [first] = session === null ? [] : placesOf(places, session.role);
  return first?.path ?? '/sign-in';
}

/** In a route that is not for everyone. */
export function sessionOf({ session }: FastifyRequest): Session {
  if (session === null) throw new ConcordatError('approval/not-custodian', 'nobody is signed in');
  return session;
}

/** What may be told of an error: of one that is not ours, nothing but that it happened. */
export function faultOf(error: unknown): FormFault {
  if (!(error instanceof ConcordatError)) {
    return { message: 'What was asked could not be done.', remedy: 'look into the operational log' };
  }
  return { message: `${error.message} (${error.code})`, remedy: error.remedy ?? null };
}
