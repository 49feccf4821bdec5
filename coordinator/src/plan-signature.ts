/** The statistician's signature of a plan: a file beside it, `<plan>.sig`. */
import { existsSync, writeFileSync } from 'node:fs';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { fromHex, toHex } from '@concordat/shared/wire/digest.ts';
import { isPlanSigned, type PlanSignature } from '@concordat/shared/wire/offers.ts';

import { readText } from './process.ts';

export const signatureFile = (plan: string): string => `${plan}.sig`;

/** Two lines, hexadecimal: the public key, and its signature of the plan's bytes. */
export function writePlanSignature(plan: string, { key, signature }: PlanSignature): void {
  writeFileSync(signatureFile(plan), `${toHex(key)}\n${toHex(signature)}\n`);
}

/** Null where the plan is not signed. Throws `plan/inconsistent` for a signature of something else. */
export function readPlanSignature(plan: string, text: string): PlanSignature | null {
  const file = signatureFile(plan);
  if (!existsSync(file)) return null;
  const [key = '', signature = ''] = readText(file, 'plan/unreadable').split('\n');
  if (/^[0-9a-f]{64}$/.test(key) && /^[0-9a-f]{128}$/.test(signature)) {
    const signed = { key: fromHex(key), signature: fromHex(signature) };
    if (isPlanSigned(text, signed)) return signed;
  }
  throw new ConcordatError('plan/inconsistent', 'the signature beside the plan is not one of this plan', {
    place: file,
    remedy: 'sign the plan as it is now with `concordat plan sign`, or remove the file',
  });
}
