import { setFlagsFromString } from 'node:v8';

import { verify } from '@concordat/audit/verify.ts';

import { ConcordatError } from '@concordat/shared/errors.ts';

import { openLogs, readGiven, readKeys, type LogOptions } from '../audit-input.ts';
import { verdictDocument, verdictLines } from '../audit-words.ts';
import { entryBar } from '../progress.ts';

interface VerifyOptions extends LogOptions {
  readonly plan?: string;
  readonly result?: string;
  readonly attestation?: string;
  readonly json?: boolean;
}

export function auditVerify(options: VerifyOptions): 0 | 4 {
  // Messages are read and forgotten: room for more of them at once makes nothing faster, and would be most of the memory.
  setFlagsFromString('--semi-space-growth-factor=1');
  const keys = readKeys(options);
  const logs = openLogs(options);
  const bar = entryBar(logs.reduce((sum, { size }) => sum + size, 0));
  const verdict = verify({
    logs,
    keys,
    plan: readGiven(options.plan),
    result: readGiven(options.result),
    attestation: readGiven(options.attestation),
    progress: bar.step,
  });
  bar.end();
  const parties = new Set([...verdict.logs.map(({ party }) => party), ...verdict.missing]);
  const unknown = [...keys.keys()].find((party) => !parties.has(party));
  if (unknown !== undefined)
    throw new ConcordatError('usage/invalid', 'no log and no roster names whose key this is', {
      place: `--key ${unknown}=…`,
      remedy: `the parties are: ${[...parties].join(', ')}`,
    });
  if (options.json === true) console.log(JSON.stringify(verdictDocument(verdict)));
  else for (const line of verdictLines(verdict)) console.log(line);
  return verdict.findings.length > 0 ? 4 : 0;
}
