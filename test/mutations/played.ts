/** One run of a federation, with everything that an auditor would be given. */
import type { Party } from '@concordat/audit/keys.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';
import { InProcess, type Life } from '../end-to-end/in-process.ts';
import { writeOneStageTrials } from '../end-to-end/trials.ts';

const STUDIES = ['A', 'B', 'C'];
export const PARTIES: readonly Party[] = ['coordinator', ...STUDIES];
const data = writeOneStageTrials(STUDIES);

export interface Played {
  readonly federation: InProcess;
  /** Folders, by party. */
  readonly logs: Readonly<Record<Party, string>>;
  readonly keys: ReadonlyMap<Party, Uint8Array>;
  readonly identity: (party: Party) => SigningIdentity;
  readonly plan: string;
  /** Text of result.json. */
  readonly result: string;
}

export async function play(plan: string, lives: Readonly<Record<string, Life[]>> = {}): Promise<Played> {
  const federation = new InProcess({ plan, data }, lives);
  const result = federation.publish(await federation.play());
  return {
    federation,
    logs: Object.fromEntries(PARTIES.map((party) => [party, federation.log(party)])),
    keys: new Map(PARTIES.map((party) => [party, federation.identity(party).publicKey])),
    identity: (party) => federation.identity(party),
    plan,
    result,
  };
}
