/** A site that lost its keys and joined anew has two keys and two logs: that is known, and no finding. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';

import { signingIdentity, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import { Federation, newFolder, writeTrials } from '../end-to-end/federation.ts';
import { forge, itemsOf, reply } from './forge.ts';
import { audited, told } from './logs.ts';

const STUDIES = ['A', 'B'];
const folder = newFolder();
writeTrials(folder, STUDIES);
let federation: Federation;
const read = (name: string): string => readFileSync(federation.path(name), 'utf8');
const given = (name: string): { name: string; text: string } => ({ name, text: read(join('out', name)) });
const identity = (name: string): SigningIdentity => signingIdentity(read(`${name}.signing.key`), name);

async function run(): Promise<void> {
  const agents = federation.agents(STUDIES);
  const program = federation.coordinator();
  assert.equal(await program.exit, 0, program.output);
  await agents.kill('SIGTERM');
}

before(async () => {
  federation = await Federation.make(
    Object.fromEntries(STUDIES.map((study) => [study, join(folder, `${study}.csv`)])),
  );
  await run();
  const { publicKey, fingerprint } = await federation.authority.issue('A-anew', 'A', null);
  const consortium = JSON.parse(read('coordinator.yaml')) as { sites: object[] };
  consortium.sites[0] = { study: 'A', key: publicKey, certificate: fingerprint };
  federation.write('coordinator.yaml', consortium);
  federation.write('A.yaml', {
    ...(JSON.parse(read('A.yaml')) as object),
    tls: { ca: 'ca.crt', certificate: 'A-anew.crt', key: 'A-anew.tls.key' },
    signing_key: 'A-anew.signing.key',
    state: 'state/A-anew',
    log: 'log/A-anew',
  });
  await run();
});

const logs = (A: string): Record<string, string> => ({
  A: federation.log(A),
  B: federation.log('B'),
  coordinator: federation.log('coordinator'),
});

test('nothing is found in any of the logs, and that there are two keys is said', () => {
  const published = { result: given('result.json'), attestation: given('result.intoto.json') };
  for (const some of [
    { coordinator: federation.log('coordinator') },
    { A: federation.log('A-anew') },
    logs('A'),
    logs('A-anew'),
  ]) {
    const verdict = audited(some, 'coordinator' in some ? published : {});
    assert.deepEqual(told(verdict), []);
    const noted = verdict.notes.map(({ message }) => message).filter((message) => /two keys/.test(message));
    assert.equal(noted.length, 'coordinator' in some ? 1 : 0);
  }
  const keys = audited(logs('A')).keys.filter(({ party }) => party === 'A');
  assert.equal(keys.length, 2);
});

test('what is not compared is said; the rest of the log still is', () => {
  const { notes } = audited(logs('A-anew'));
  assert.ok(notes.some(({ message }) => /is under another key of the site A/.test(message)));
  const items = itemsOf(federation.log('A-anew')).slice(0, -6);
  const verdict = audited({ ...logs('A'), A: forge('A', items, identity('A-anew')) });
  assert.ok(
    told(verdict).some((finding) => finding.startsWith('truncation')),
    told(verdict).join('\n'),
  );
});

test('where the key was given, another one is a finding', () => {
  const verdict = audited(logs('A'), { keys: new Map([['A', identity('A').publicKey]]) });
  assert.ok(
    verdict.findings.some(
      ({ kind, message }) => kind === 'signature' && /the one that was given/.test(message),
    ),
  );
});

test('the old key signs nothing in a run under the new one', () => {
  const items = itemsOf(federation.log('coordinator'));
  const last = items.findLastIndex(
    ({ entry }) => entry.kind === 'received' && entry.peer === 'A' && entry.type === 'stageOneEstimate',
  );
  const body = reply(items[last]!.body!, identity('A'), () => undefined);
  const forged = forge('coordinator', items.with(last, { ...items[last]!, body }), identity('coordinator'));
  const verdict = audited({ coordinator: forged });
  assert.ok(
    verdict.findings.some(({ kind, message }) => kind === 'signature' && /roster of the run/.test(message)),
    told(verdict).join('\n'),
  );
});
