/** How the auditors' commands are run. */
export type AuditStatus = 0 | 2 | 4;

/** Turns a command, whose code is loaded when it is called, into an action. */
export type Run = <A extends unknown[]>(
  load: () => Promise<(...args: A) => Promise<AuditStatus> | AuditStatus>,
) => (...args: A) => Promise<void>;
