/** Agreements with parts changed, cut and put elsewhere: an agreement, or `agreement/invalid`; never anything else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '@concordat/shared/errors.ts';
import schema from '@concordat/shared/schema/agreement.schema.json' with { type: 'json' };

import { parseAgreement, type Agreement } from '@concordat/shared/agreement/document.ts';
import { agreementOf, KEY } from '@concordat/shared/agreement/testing.ts';
import { explainAgreement } from './explain-agreement.ts';
import { addCustodian, agreementTemplate } from './template.ts';
import { unusualIn } from './unusual.ts';

const NOW = new Date('2027-01-01T00:00:00Z');
const TEXT = agreementTemplate('A', [{ name: 'Ada', key: KEY }]).replace('until:', 'until: "2027-12-31"');

/** What can be read can be explained. */
function read(parse: () => Agreement): void {
  let agreement: Agreement;
  try {
    agreement = parse();
  } catch (error) {
    assert.ok(error instanceof ConcordatError && error.code === 'agreement/invalid', String(error));
    return;
  }
  explainAgreement(agreement, NOW);
  unusualIn(agreement, { now: NOW, columns: ['y'], templates: new Map() });
}

test('fuzz: a mutated agreement is read or refused', () => {
  const cut = fc.record({
    at: fc.nat(TEXT.length),
    length: fc.nat(30),
    insert: fc.oneof(
      fc.constantFrom('\n', '- ', '[', '{', ': ', 'null', '1e999', '&a ', '*a', '"'),
      fc.string(),
    ),
  });
  fc.assert(
    fc.property(fc.array(cut, { minLength: 1, maxLength: 4 }), (cuts) => {
      const text = cuts.reduce(
        (now, { at, length, insert }) => now.slice(0, at) + insert + now.slice(at + length),
        TEXT,
      );
      read(() => parseAgreement(text, 'agreement.yaml', { local: false }));
    }),
  );
});

test('fuzz: any value of any key is read or refused', () => {
  const keys = [...Object.keys(schema.properties), 'other'];
  const party = fc.record(
    { name: fc.string(), key: fc.oneof(fc.constant(KEY), fc.string()) },
    { requiredKeys: [] },
  );
  const value = fc.oneof(
    fc.jsonValue(),
    fc.array(fc.oneof(party, fc.string(), fc.constant(null))),
    fc.constantFrom('all', 'each-release', 'matching-template', '2027-02-30'),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), value), (over) => read(() => agreementOf(over))),
  );
});

test('fuzz: a custodian is added to what can be read, or it is refused', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 200 }),
      fc.stringMatching(/^[0-9a-f]{64}$/),
      (name, key) => {
        const agreement = parseAgreement(
          addCustodian(TEXT.replace(/^ +- \{name: Ada.*\n/m, '').replace('custodians:', 'custodians: []'), {
            name,
            key,
          }),
          'agreement.yaml',
          { local: false },
        );
        assert.deepEqual(agreement.custodians, [{ name, key }]);
      },
    ),
  );
});
