import { packed } from '@concordat/audit/pack.ts';
import { Snapshot } from '@concordat/audit/snapshot.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';

import { writeFile } from '../write-out.ts';

interface BundleOptions {
  readonly out: string;
  readonly withoutBodies?: boolean;
}

export async function auditBundle(log: string, { out, withoutBodies }: BundleOptions): Promise<0> {
  const snapshot = new Snapshot(log);
  const { origin, size, root } = snapshot.checkpoint;
  await writeFile(out, packed(snapshot, { bodies: withoutBodies !== true }));
  const bodies = withoutBodies === true ? ', without what the messages say' : '';
  console.log(`${out}: ${origin}, ${size} entries${bodies}; root ${toHex(root)}`);
  return 0;
}
