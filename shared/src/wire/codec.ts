/**
 * Strict protobuf: a message is accepted only in its one canonical encoding. Decoding and encoding again
 * must give the same bytes, which refuses unknown fields, unknown enum values, repeated singular fields,
 * two members of a oneof, wrong wire types and non-minimal varints in one comparison.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';

import { ConcordatError } from '../errors.ts';
import { sameBytes } from './digest.ts';
import { FRAME_LIMIT } from './protocol.ts';

export interface Codec<T> {
  encode(message: T, writer?: BinaryWriter): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export function encode<T>(codec: Codec<T>, message: T, what: string): Uint8Array {
  const bytes = codec.encode(message).finish();
  if (bytes.length > FRAME_LIMIT) throw tooLarge(bytes.length, what);
  return bytes;
}

export function decode<T>(codec: Codec<T>, bytes: Uint8Array, what: string): T {
  if (bytes.length > FRAME_LIMIT) throw tooLarge(bytes.length, what);
  let message: T;
  try {
    message = codec.decode(bytes);
  } catch {
    // The decoder's own words may quote the bytes; they go no further.
    throw new ConcordatError('wire/malformed', `${what} is not a well-formed message`, {
      remedy: 'the bytes were cut or changed, or the sender is not Concordat',
    });
  }
  if (!sameBytes(encodedAgain(codec, message), bytes)) {
    throw new ConcordatError(
      'wire/unknown-field',
      `${what} holds a field, value or encoding that this version does not know`,
      {
        remedy: 'both sides must run compatible versions; nothing unknown is passed over',
      },
    );
  }
  return message;
}

/** Keeps its buffer from one message to the next: growing one for each costs more than the encoding. */
let writer = new BinaryWriter();

function encodedAgain<T>(codec: Codec<T>, message: T): Uint8Array {
  try {
    return codec.encode(message, writer).finish();
  } catch (error) {
    // It may stand in the middle of a message.
    writer = new BinaryWriter();
    throw error;
  }
}

function tooLarge(size: number, what: string): ConcordatError {
  return new ConcordatError('wire/too-large', `${what} has ${size} bytes; a frame may have ${FRAME_LIMIT}`, {
    remedy: 'ask for fewer parameters or fewer analyses in one plan',
  });
}
