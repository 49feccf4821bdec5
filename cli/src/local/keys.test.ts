import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeAuthority } from './keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'concordat-keys-'));
after(() => rmSync(folder, { recursive: true }));

test('a certificate names its study, whatever characters the id has', async () => {
  const authority = await makeAuthority(folder);
  const issuer = new X509Certificate(readFileSync(join(folder, 'ca.crt')));
  for (const study of ['#5', '""', 'O"Brien" II', 'École', 'a+b=c,d', 'S/1']) {
    await authority.issue('site', study, null);
    const certificate = new X509Certificate(readFileSync(join(folder, 'site.crt')));
    assert.equal(certificate.toLegacyObject().subject.CN, study);
    assert.ok(certificate.checkIssued(issuer));
  }
});
