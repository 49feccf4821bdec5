/** Logs of federations that were played by the real programs, and the audit of them. */
import type { GivenLog } from '@concordat/audit/audited-log.ts';
import type { Finding } from '@concordat/audit/finding.ts';
import { openLog } from '@concordat/audit/open-log.ts';
import { auditLog } from '@concordat/audit/read-log.ts';
import { originOf } from '@concordat/audit/keys.ts';
import { verify, type AuditInput, type Verdict } from '@concordat/audit/verify.ts';

function givenLog(party: string, folder: string): GivenLog {
  const owner = { party, origin: originOf(party) };
  return { owner, read: (keys, report) => auditLog(openLog(folder), keys, report) };
}

/** `logs`: folders by party. */
export function audited(
  logs: Readonly<Record<string, string>>,
  more: Partial<Pick<AuditInput, 'keys' | 'plan' | 'result' | 'attestation'>> = {},
): Verdict {
  return verify({
    logs: Object.entries(logs).map(([party, folder]) => givenLog(party, folder)),
    keys: new Map(),
    plan: null,
    result: null,
    attestation: null,
    progress: () => undefined,
    ...more,
  });
}

export const told = ({ findings }: Verdict): string[] =>
  findings.map(({ kind, place, message }: Finding) => `${kind} ${JSON.stringify(place)} ${message}`);
