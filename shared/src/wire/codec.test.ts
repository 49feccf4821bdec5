import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Level } from '@concordat/proto/concordat/v1/header.ts';
import { ExchangeRequest, SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { Counts, DataProblem, Problem, SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { decode, encode, type Codec } from './codec.ts';
import { FRAME_LIMIT } from './protocol.ts';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const tag = (field: number, type: number): number => field * 8 + type;

function refuses<T>(codec: Codec<T>, bytes: readonly number[], code: string): void {
  assert.throws(
    () => decode(codec, Uint8Array.from(bytes), 'a message'),
    (error: unknown) => error instanceof ConcordatError && error.code === code,
  );
}

const problem = [...encode(DataProblem, { problem: Problem.PROBLEM_ENCODING }, 'a message')];

test('the canonical encoding is accepted, of every field kind', () => {
  const counts = {
    participants: [101, 99],
    events: [40, 31],
    notInPopulation: 300,
    otherTreatment: 0,
    missingTreatment: 0,
    missingOutcome: 2,
    missingCovariate: 1,
  };
  assert.deepEqual(decode(Counts, encode(Counts, counts, 'counts'), 'counts'), counts);
  assert.deepEqual(decode(DataProblem, Uint8Array.from(problem), 'a message'), {
    problem: Problem.PROBLEM_ENCODING,
  });
  assert.deepEqual(decode(SiteMessage, new Uint8Array(0), 'a message'), {
    header: undefined,
    payload: undefined,
  });
});

test('an unknown field is refused', () =>
  refuses(DataProblem, [...problem, tag(9, VARINT), 1], 'wire/unknown-field'));
test('a varint that is not minimal is refused', () =>
  refuses(DataProblem, [tag(1, VARINT), 0x83, 0x00], 'wire/unknown-field'));
test('a tag that is not minimal is refused', () =>
  refuses(DataProblem, [0x88, 0x00, 3], 'wire/unknown-field'));
test('a singular field that occurs twice is refused', () =>
  refuses(DataProblem, [...problem, ...problem], 'wire/unknown-field'));
test('a default value that is written out is refused', () =>
  refuses(DataProblem, [tag(1, VARINT), 0], 'wire/unknown-field'));
test('two members of a oneof are refused', () =>
  refuses(
    Level,
    [tag(1, FIXED64), 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, tag(2, LENGTH), 1, 0x61],
    'wire/unknown-field',
  ));
test('a wrong wire type is refused', () =>
  refuses(DataProblem, [tag(1, LENGTH), 1, 3], 'wire/unknown-field'));
test('an unknown enum value is refused', () =>
  refuses(DataProblem, [tag(1, VARINT), 99], 'wire/unknown-field'));
test('fields out of order are refused', () =>
  refuses(ExchangeRequest, [tag(2, VARINT), 1, tag(1, VARINT), 1], 'wire/unknown-field'));
test('a repeated number that is not packed is refused', () =>
  refuses(Counts, [tag(1, VARINT), 5, tag(1, VARINT), 6], 'wire/unknown-field'));
test('text that is not UTF-8 is refused', () => {
  assert.throws(
    () => decode(Level, Uint8Array.of(tag(2, LENGTH), 2, 0xc3, 0x28), 'a level'),
    (error: unknown) => error instanceof ConcordatError && error.code.startsWith('wire/'),
  );
});
test('a truncated message is malformed', () => {
  refuses(DataProblem, [tag(1, VARINT)], 'wire/malformed');
  refuses(Level, [tag(2, LENGTH), 5, 0x61], 'wire/malformed');
  refuses(Level, [tag(1, FIXED64), 0, 0], 'wire/malformed');
});
test('trailing bytes are refused', () => {
  refuses(DataProblem, [...problem, 0x80], 'wire/malformed');
  refuses(DataProblem, [...problem, 0], 'wire/unknown-field');
});
test('a frame beyond the limit is refused before it is read, and before it is sent', () => {
  refuses(
    SignedMessage,
    Array.from({ length: FRAME_LIMIT + 1 }, () => 0),
    'wire/too-large',
  );
  const body = new Uint8Array(FRAME_LIMIT);
  assert.throws(
    () =>
      encode(SignedMessage, { body, signature: body.subarray(0, 64), key: body.subarray(0, 32) }, 'a reply'),
    (error: unknown) => error instanceof ConcordatError && error.code === 'wire/too-large',
  );
});

test('whatever the bytes: a ConcordatError without their text, or one message with one encoding', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        const message = decode(SiteMessage, bytes, 'a message');
        assert.deepEqual(encode(SiteMessage, message, 'a message'), bytes);
      } catch (error) {
        assert.ok(error instanceof ConcordatError);
        assert.match(error.code, /^wire\//);
        assert.equal(error.cause, undefined);
      }
    }),
    { numRuns: 2000 },
  );
});
