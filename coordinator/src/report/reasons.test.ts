import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DIAGNOSES } from '@concordat/shared/models/types.ts';
import { analysisRemedy, REMEDIES, remedyFor } from './reasons.ts';

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');

test('every code with a remedy is in docs/errors.md', () => {
  const missing = Object.keys(REMEDIES).filter((code) => !page.includes(`\`${code}\``));
  assert.deepEqual(missing, []);
});

test('every diagnosis has a remedy; a fit over all studies has its own', () => {
  for (const code of DIAGNOSES) assert.ok(remedyFor({ code, message: '' }));
  const separation = { code: 'separation', message: '' };
  assert.notEqual(analysisRemedy('one-stage', separation), remedyFor(separation));
  assert.equal(analysisRemedy('two-stage', separation), remedyFor(separation));
  assert.ok(analysisRemedy('one-stage', { code: 'site-lost', message: '' }));
  assert.equal(remedyFor({ code: 'constructor', message: '' }), null);
});
