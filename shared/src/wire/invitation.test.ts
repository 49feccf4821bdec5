import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { readInvitation, writeInvitation } from './invitation.ts';

const bytes = (n: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: n, maxLength: n });
const invitations = fc.record({
  address: fc.constantFrom('coordinator.example.org:443', '127.0.0.1:8443'),
  study: fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }),
  id: bytes(16),
  secret: bytes(32),
  expires: fc.nat(),
  authority: bytes(32),
  coordinatorKey: bytes(32),
});
const refused = (error: unknown): boolean =>
  error instanceof ConcordatError && error.code === 'enrolment/invitation';

test('an invitation is one line, and is read as it was written, also where a mail program broke it', () => {
  fc.assert(
    fc.property(invitations, fc.nat(), (invitation, at) => {
      const line = writeInvitation(invitation);
      assert.match(line, /^concordat-invitation-1\.[\w-]+$/);
      assert.deepEqual(readInvitation(line), { version: 1, ...invitation });
      const cut = at % line.length;
      assert.deepEqual(readInvitation(` ${line.slice(0, cut)}\r\n  ${line.slice(cut)}\n`), {
        version: 1,
        ...invitation,
      });
    }),
  );
});

test('a paste that is cut or mistyped at any place is refused', () => {
  fc.assert(
    fc.property(invitations, fc.nat(), (invitation, at) => {
      const line = writeInvitation(invitation);
      const place = at % line.length;
      assert.throws(() => readInvitation(line.slice(0, place)), refused);
      const other = line[place] === 'A' ? 'B' : 'A';
      const changed = line.slice(0, place) + other + line.slice(place + 1);
      // The last character may carry bits that no byte uses.
      if (place < line.length - 1) assert.throws(() => readInvitation(changed), refused);
    }),
  );
});

test('other text and other versions are refused', () => {
  for (const text of ['', 'hello', 'concordat-invitation-2.AAAA', 'concordat-invitation-1.'])
    assert.throws(() => readInvitation(text), refused);
});

test('an invitation whose fields have other lengths is refused', () => {
  const [whole] = fc.sample(invitations, 1);
  for (const field of ['id', 'secret', 'authority', 'coordinatorKey'] as const)
    assert.throws(() => readInvitation(writeInvitation({ ...whole!, [field]: new Uint8Array(8) })), refused);
  assert.throws(() => readInvitation(writeInvitation({ ...whole!, address: 'https://x' })), refused);
});
