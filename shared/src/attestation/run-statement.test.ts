import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../wire/digest.ts';
import { generateSigningKey, signingIdentity } from '../wire/signing.ts';
import { parseEnvelope, signEnvelope } from './dsse.ts';
import { signRunStatement, verifyRunStatement, type RunPredicate } from './run-statement.ts';

const coordinator = signingIdentity(generateSigningKey(), 'coordinator');
const key = toHex(coordinator.publicKey);
const digest = (n: number): string => n.toString(16).padStart(64, '0');

const PREDICATE: RunPredicate = {
  run: 'ab'.repeat(16),
  plan: { id: 'small', sha256: digest(1) },
  roster: {
    sha256: digest(2),
    sites: [
      { study: 'A', key: digest(3) },
      { study: 'B', key: digest(4) },
    ],
  },
  software: { version: '0.1.0', sha256: digest(5) },
  coordinator: { key, checkpoint: { origin: 'concordat/coordinator', size: 12, root: digest(6) } },
  witnessed: [{ study: 'A', origin: 'concordat/site/A', size: 7, root: digest(7) }],
  result: digest(8),
};

const IN_TOTO = 'application/vnd.in-toto+json';
const payloadOf = (text: string): string => Buffer.from(parseEnvelope(text, 'envelope').payload).toString();
const enveloped = (payload: string, type = IN_TOTO): string =>
  signEnvelope(type, Buffer.from(payload), coordinator);
const refused = (text: string, code = 'wire/malformed'): void =>
  assert.throws(() => verifyRunStatement(text, coordinator.publicKey, 'run.dsse'), {
    code,
    place: 'run.dsse',
  });

test('a statement is an in-toto statement about result.json, and is read as it was signed', () => {
  const text = signRunStatement(PREDICATE, coordinator);
  assert.deepEqual(verifyRunStatement(text, coordinator.publicKey, 'run.dsse'), PREDICATE);
  assert.deepEqual(JSON.parse(payloadOf(text)), {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'result.json', digest: { sha256: digest(8) } }],
    predicateType: 'urn:concordat:run:v1',
    predicate: PREDICATE,
  });
});

test('a statement of another key, or about another key, is not the coordinator’s', () => {
  const stranger = signingIdentity(generateSigningKey(), 'stranger');
  refused(signRunStatement(PREDICATE, stranger), 'wire/signature');
  const naming = { ...PREDICATE, coordinator: { ...PREDICATE.coordinator, key: digest(9) } };
  refused(signRunStatement(naming, coordinator));
});

test('a statement that is changed in one byte is not signed', () => {
  const text = signRunStatement(PREDICATE, coordinator);
  const { payloadType, signatures } = JSON.parse(text) as { payloadType: string; signatures: unknown };
  const payload = Buffer.from(payloadOf(text).replace(digest(6), digest(5))).toString('base64');
  refused(JSON.stringify({ payloadType, payload, signatures }), 'wire/signature');
});

test('what is signed and is no statement about a run is refused', () => {
  const payload = payloadOf(signRunStatement(PREDICATE, coordinator));
  for (const [from, to] of [
    ['Statement/v1', 'Statement/v0.1'],
    ['run:v1', 'run:v2'],
    ['"size":12', '"size":-1'],
    ['"size":12', '"size":1.5'],
    ['"run":', '"more":1,"run":'],
    ['"run":"ab', '"run":"AB'],
    // The subject's digest is the first.
    [digest(8), digest(9)],
    ['"study":"B"', '"study":"A"'],
    ['"witnessed":[{"study":"A"', '"witnessed":[{"study":"C"'],
    ['{"_type"', '{ "_type"'],
    ['"run":"ab', '"run":"00000000000000000000000000000000","run":"ab'],
  ] as const) {
    assert.ok(payload.includes(from), from);
    refused(enveloped(payload.replace(from, to)));
  }
  refused(enveloped('{'));
  refused(enveloped(payload, 'application/json'));
  refused(payload);
});

test('what a reader would refuse is not signed', () => {
  assert.throws(() => signRunStatement({ ...PREDICATE, run: 'ab' }, coordinator), {
    code: 'wire/malformed',
  });
});
