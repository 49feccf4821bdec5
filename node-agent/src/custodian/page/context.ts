/** What the page is given of the agent. */
import type { AuditParts } from '@concordat/audit/page/routes.ts';
import type { SignIn, AuditorLog } from '@concordat/web/sign-in.ts';

import type { Logger } from '../../logger.ts';
import type { CustodianDesk } from '../desk.ts';
import type { AgentStatus } from './status.ts';

export interface CustodianPageParts {
  readonly study: string;
  readonly desk: CustodianDesk;
  readonly signIn: SignIn;
  readonly status: () => AgentStatus;
  readonly log: AuditorLog;
  readonly audit: AuditParts;
  /** Waits a little until the agent has taken a statement (SHA-256, hex): null; `not yet`; or what it found against it. */
  readonly taken: (statement: string) => Promise<string | null>;
  readonly logger: Logger;
  readonly now: () => Date;
}
