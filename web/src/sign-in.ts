/** Who may sign in to a page, and how their key is opened. */
import type { MessageLog } from '@concordat/shared/log/message-log.ts';

import type { FormFault } from './layout.ts';
import type { OpenedKey } from './sealed-keys.ts';
import type { Role } from './sessions.ts';

export interface Account {
  readonly name: string;
  /** Public key, 64 hexadecimal digits. */
  readonly key: string;
  readonly role: Role;
}

export interface SignIn {
  /** Those who may sign in now. Of several of one name, the first. */
  accounts(): readonly Account[];
  /**
   * Opens a sealed key. It takes as long for a name that has no key as for one that has.
   * @throws ConcordatError `approval/passphrase`
   */
  openKey(name: string, role: Role, passphrase: string): Promise<OpenedKey>;
  /** Why nobody may, while there is no account. */
  readonly noAccount: FormFault;
  /** What is told of every attempt that fails. */
  readonly wrong: FormFault;
}

/** What auditors read, and where their sign-ins are logged. */
export type AuditorLog = Pick<MessageLog, 'entries' | 'body' | 'append'>;

/** An auditor who is new to this log is marked as such: the command that makes a key runs beside the process that may write to it. */
export function logAuditor(log: Pick<AuditorLog, 'entries' | 'append'>, { name, key }: Account): void {
  const first = !log.entries.some(({ detail }) => detail?.['auditor'] === name && detail['key'] === key);
  log.append({ kind: 'decision', detail: { auditor: name, key, first } });
}
