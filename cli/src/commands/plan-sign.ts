import { existsSync, writeFileSync } from 'node:fs';

import { signatureFile, writePlanSignature } from '@concordat/coordinator/plan-signature.ts';
import { readText } from '@concordat/coordinator/process.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { signPlan } from '@concordat/shared/wire/offers.ts';
import { generateSigningKey, signingIdentity } from '@concordat/shared/wire/signing.ts';

/** Makes a statistician's key. */
export function planKey(file: string): 0 {
  if (existsSync(file)) {
    throw new ConcordatError('enrolment/exists', 'there is a file already', {
      place: file,
      remedy: 'use the key that it holds, or give another name',
    });
  }
  const pem = generateSigningKey();
  writeFileSync(file, pem, { mode: 0o600, flag: 'wx' });
  console.log(`${file} is your key; keep it to yourself. What the sites name in their agreements:`);
  console.log(`  ${toHex(signingIdentity(pem, file).publicKey)}`);
  return 0;
}

/** Signs a plan as it is, so that sites know who asks. */
export function planSign(plan: string, { key }: { readonly key: string }): 0 {
  const text = readText(plan, 'plan/unreadable');
  parsePlan(text, plan);
  const signed = signPlan(text, signingIdentity(readText(key, 'config/invalid'), key));
  writePlanSignature(plan, signed);
  console.log(`${signatureFile(plan)} says that ${toHex(signed.key)} asks this.`);
  return 0;
}
