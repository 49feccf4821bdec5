/** What the page is given, and what its routes share. */
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Logger } from '../../logger.ts';
import type { CustodianDesk } from '../desk.ts';
import type { Session, Sessions } from './sessions.ts';
import type { SignIn } from './sign-in.ts';
import type { AgentStatus } from './status.ts';
import type { FormFault, PageContent } from './views/layout.ts';

/** What the page is given of the agent. */
export interface PageParts {
  readonly study: string;
  readonly desk: CustodianDesk;
  readonly signIn: SignIn;
  readonly status: () => AgentStatus;
  readonly log: Pick<MessageLog, 'entries' | 'body'>;
  /** Waits a little until the agent has taken a statement (SHA-256, hex): null; `not yet`; or what it found against it. */
  readonly taken: (statement: string) => Promise<string | null>;
  readonly logger: Logger;
  readonly now: () => Date;
}

/** What the routes share. */
export interface PageContext extends PageParts {
  readonly sessions: Sessions;
  readonly cookies: { readonly session: string; readonly form: string; readonly secure: boolean };
  session(request: FastifyRequest): Session | null;
  /** Sends a page as the session sees it. */
  show(reply: FastifyReply, session: Session | null, content: PageContent, status?: number): FastifyReply;
}

/** What may be told of an error: of one that is not ours, nothing but that it happened. */
export function faultOf(error: unknown): FormFault {
  if (!(error instanceof ConcordatError)) {
    return {
      message: 'The agent could not do what was asked.',
      remedy: "look into the agent's operational log",
    };
  }
  return { message: `${error.message} (${error.code})`, remedy: error.remedy ?? null };
}
