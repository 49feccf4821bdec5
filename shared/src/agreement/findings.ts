/** What is wrong with an agreement that its schema accepts. */
import type { WrittenAgreement } from '../disclosure/agreement-schema.ts';
import type { Finding, Path } from '../plan/findings.ts';

import { isDay } from './days.ts';

/** @param sound whether the schema found nothing at or below a path; other parts may have any shape */
export function agreementFindings(
  agreement: WrittenAgreement,
  sound: (path: Path) => boolean,
): readonly Finding[] {
  const { until, approval, templates, custodians, statisticians } = agreement;
  const findings: Finding[] = [];
  const report = (path: Path, message: string, remedy: string): void => {
    findings.push({ path, message, remedy });
  };
  if (sound(['until']) && until !== undefined && !isDay(until))
    report(['until'], 'there is no such day', 'write a day of the calendar as "2027-12-31"');
  if (sound(['approval']) && approval === 'matching-template' && (templates ?? []).length === 0)
    report(
      ['approval'],
      'no template is given that a plan could match',
      'name plan files under `templates`, or choose `each-plan`',
    );
  if (
    sound(['approval']) &&
    sound(['custodians']) &&
    (approval === 'each-plan' || approval === 'each-release') &&
    (custodians ?? []).length === 0
  )
    report(
      ['approval'],
      'no custodian is named who could approve',
      'make a key with `concordat agent custodian NAME`, which names it under `custodians`',
    );
  if (sound(['statisticians']) && statisticians?.length === 0)
    report(
      ['statisticians'],
      'the list is empty, so that nobody may ask',
      'name who may ask; or remove the line, and whoever the coordinator speaks for may',
    );
  if (sound(['custodians'])) findings.push(...partyFindings('custodians', custodians ?? []));
  if (sound(['statisticians'])) findings.push(...partyFindings('statisticians', statisticians ?? []));
  return findings;
}

function partyFindings(
  list: 'custodians' | 'statisticians',
  parties: readonly { readonly name: string; readonly key: string }[],
): Finding[] {
  const fold = (name: string): string => name.trim().toLowerCase();
  return parties.flatMap(({ name, key }, i) => {
    const before = parties.slice(0, i);
    const found: Finding[] = [];
    if (before.some((other) => fold(other.name) === fold(name)))
      found.push({
        path: [list, i, 'name'],
        message: `\`${name}\` is named twice`,
        remedy: 'give each person a name of their own, and name each once',
      });
    if (before.some((other) => other.key === key))
      found.push({
        path: [list, i, 'key'],
        message: 'this key is named twice',
        remedy: 'give each person a key of their own: the log tells people apart by it',
      });
    return found;
  });
}
