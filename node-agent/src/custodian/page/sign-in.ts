/** Who may sign in to the page, and how their key is opened. */
import type { CustodianKey } from '@concordat/shared/agreement/statements.ts';

export interface SignIn {
  /** Those whom the agreement names now, with their public keys (64 hexadecimal digits). */
  custodians(): readonly { readonly name: string; readonly key: string }[];
  /**
   * Opens a custodian's sealed key. It takes as long for a name that has no key as for one that has.
   * @throws ConcordatError `approval/passphrase`, `approval/not-custodian`
   */
  openKey(name: string, passphrase: string): Promise<CustodianKey>;
}
