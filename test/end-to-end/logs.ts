/** What both sides' logs must show together, whatever happened to the processes. */
import assert from 'node:assert/strict';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { entriesOf, type Logged } from './federation.ts';

const bytes = ({ message }: Logged): string => (message === null ? '' : toHex(message.body));

export function assertLogsAgree(coordinator: string, sites: Readonly<Record<string, string>>): void {
  const central = entriesOf(coordinator);
  for (const [study, log] of Object.entries(sites)) {
    const local = entriesOf(log);
    const pick = (entries: readonly Logged[], kind: string): Logged[] =>
      entries.filter((entry) => entry.kind === kind && entry.message !== null);
    const ofSite = central.filter(({ peer }) => peer === study);
    assert.deepEqual(
      missing(pick(ofSite, 'received'), pick(local, 'sent')),
      [],
      `${study}: received, not logged as sent`,
    );
    assert.deepEqual(
      missing(pick(local, 'received'), pick(ofSite, 'sent')),
      [],
      `${study}: taken, not logged as asked`,
    );
    for (const entries of [pick(local, 'sent'), pick(local, 'received'), pick(ofSite, 'received')]) {
      const tasks = entries.map(({ task }) => task);
      assert.equal(new Set(tasks).size, tasks.length, `${study}: a task is there twice`);
    }
    assert.deepEqual(
      central.filter(({ kind, peer }) => kind === 'refused' && peer === study).map(({ detail }) => detail),
      [],
    );
    local.forEach(({ n }, i) => assert.equal(n, i));
    assert.deepEqual(
      local.filter(({ type }) => type === 'divergence'),
      [],
    );
  }
  assert.deepEqual(
    central.filter(({ type }) => type === 'divergence'),
    [],
  );
  central.forEach(({ n }, i) => assert.equal(n, i));
}

function missing(these: readonly Logged[], among: readonly Logged[]): (string | undefined)[] {
  const known = new Set(among.map(bytes));
  return these.filter((entry) => !known.has(bytes(entry))).map(({ type }) => type);
}
