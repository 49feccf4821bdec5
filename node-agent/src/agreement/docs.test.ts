import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import schema from '@concordat/shared/schema/agreement.schema.json' with { type: 'json' };

import { parseAgreement } from '@concordat/shared/agreement/document.ts';
import { explainAgreement } from './explain-agreement.ts';
import { explainThresholds } from './thresholds.ts';

const page = readFileSync(new URL('../../../docs/agreement.md', import.meta.url), 'utf8');
const [, written, , explained] = page.split(/^```.*\n/m).filter((_, i) => i > 1);

test('docs/agreement.md explains its example as the command does', () => {
  const agreement = parseAgreement(written!, 'docs/agreement.md', { local: false });
  assert.equal(explained, `${explainAgreement(agreement, new Date('2027-06-01T09:00:00Z')).join('\n')}\n`);
});

test('docs/agreement.md names every key of the schema, and every value of its closed sets', () => {
  const named: string[] = [];
  JSON.stringify(schema, (key, value: unknown) => {
    if (key === 'properties') named.push(...Object.keys(value as object));
    if (key === 'enum') named.push(...(value as string[]));
    return value;
  });
  const missing = [...new Set(named)].filter(
    (name) => !new RegExp(`\`([a-z_]+\\.)?${name}(\\.[a-z_]+)?\``).test(page),
  );
  assert.deepEqual(missing, []);
});

test('docs/agreement.md gives each threshold its shipped value', () => {
  for (const { key, standard } of explainThresholds(DEFAULT_POLICY))
    assert.match(page, new RegExp(`^\\| \`${key}\` \\| \`${standard}\` \\|`, 'm'), key);
});
