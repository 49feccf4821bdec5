import { readFileSync } from 'node:fs';

import { describeEntry } from '@concordat/audit/describe.ts';
import { checkReceipt, receiptOf, type ReceiptVerdict } from '@concordat/audit/receipt.ts';
import { RunNames } from '@concordat/audit/run-names.ts';
import { Snapshot } from '@concordat/audit/snapshot.ts';
import { readingLines } from '@concordat/audit/tables.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { SALT_LENGTH } from '@concordat/shared/log/bodies.ts';
import { fromHex, toHex } from '@concordat/shared/wire/digest.ts';

import { writeFile } from '../write-out.ts';

const PROOF = '.tlog-proof';

interface ReceiptOptions {
  readonly entry?: number;
  readonly out?: string;
  readonly body?: boolean;
  readonly check?: string;
  readonly entryFile?: string;
  readonly bodyFile?: string;
  readonly key?: string;
}

export async function auditReceipt(log: string | undefined, options: ReceiptOptions): Promise<0 | 4> {
  const { entry, out, body, check, entryFile, bodyFile, key } = options;
  if (check !== undefined) {
    if (entryFile === undefined || !/^[0-9a-f]{64}$/i.test(key ?? ''))
      throw usage('a check needs --entry-file, and --key with 64 hexadecimal digits');
    return checked(check, entryFile, bodyFile, fromHex(key!));
  }
  if (log === undefined || entry === undefined || out === undefined)
    throw usage('a receipt needs a log, --entry and --out');
  if (!out.endsWith(PROOF)) throw usage(`the name of a receipt ends in ${PROOF}`);
  const snapshot = new Snapshot(log);
  const receipt = receiptOf(snapshot, entry);
  snapshot.close();
  const beside = out.slice(0, -PROOF.length);
  if (body === true && receipt.body === null)
    throw new ConcordatError('log/erased', 'nothing that the entry says can be handed over', {
      place: `entry ${entry}`,
      remedy: 'leave out --body: it has none, or it was erased or withheld',
    });
  await writeFile(out, [receipt.proof]);
  await writeFile(`${beside}.entry.json`, [receipt.leaf]);
  if (body === true && receipt.body !== null) await writeFile(`${beside}.body`, [receipt.body]);
  console.log(`${out}: that entry ${entry} is in the log; the entry: ${beside}.entry.json`);
  if (body === true)
    console.log(
      `${beside}.body: a salt of ${SALT_LENGTH} bytes and what the entry says; its SHA-256 is the entry's \`body\``,
    );
  return 0;
}

function checked(proof: string, entryFile: string, bodyFile: string | undefined, key: Uint8Array): 0 | 4 {
  const body = bodyFile === undefined ? null : bytesOf(bodyFile);
  const verdict = checkReceipt(Buffer.from(bytesOf(proof)).toString('utf8'), bytesOf(entryFile), body, key);
  if (verdict === null) {
    console.log(`${proof}: this is no proof of a log (C2SP tlog-proof)`);
    return 4;
  }
  for (const line of verdictLines(verdict, key)) console.log(line);
  const good = verdict.signed && verdict.included && verdict.opened !== false;
  if (good && body !== null && verdict.entry !== null)
    for (const line of readingLines(describeEntry(verdict.entry, body.subarray(SALT_LENGTH), new RunNames())))
      console.log(`  ${line}`.trimEnd());
  return good ? 0 : 4;
}

function verdictLines(
  { checkpoint, index, entry, signed, included, opened, others }: ReceiptVerdict,
  key: Uint8Array,
): string[] {
  const { origin, size, root } = checkpoint;
  const when = entry === null ? '' : `, logged ${entry.time}`;
  if (!signed) return [`NOT SIGNED by the key ${toHex(key)}: nothing is proven`];
  return [
    `signed: the log ${origin} had ${size} entries with root ${toHex(root)}`,
    included
      ? `included: the entry is number ${index} of them${when}`
      : `NOT INCLUDED: the entry is not number ${index} of them`,
    ...(opened === null
      ? []
      : [
          opened
            ? 'opened: the body is what was logged with the entry'
            : 'NOT OPENED: the body is not what was logged with the entry',
        ]),
    ...others.map((name) => `also there: a signature in the name of ${name}, which was not checked`),
  ];
}

function bytesOf(file: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (cause) {
    throw new ConcordatError('usage/invalid', 'the file cannot be read', { place: file, cause });
  }
}

const usage = (message: string): ConcordatError =>
  new ConcordatError('usage/invalid', message, { remedy: '`concordat audit receipt --help` has examples' });
