/** The one line that lets a site join: made by the coordinator, read by the agent; both sides see the same fields. */
import { Invitation } from '@concordat/proto/concordat/v1/enrolment.ts';

import { ConcordatError } from '../errors.ts';
import { decode, encode } from './codec.ts';
import { sameBytes, sha256 } from './digest.ts';

const VERSION = 1;
const PREFIX = `concordat-invitation-${VERSION}.`;
/** Bytes of the checksum, by which a paste that was cut is told from one that the coordinator does not know. */
const CHECKSUM = 4;

export function writeInvitation(invitation: Omit<Invitation, 'version'>): string {
  const body = encode(Invitation, { version: VERSION, ...invitation }, 'an invitation');
  return PREFIX + Buffer.concat([body, sha256(body).subarray(0, CHECKSUM)]).toString('base64url');
}

/**
 * Reads a line as it was pasted: white space anywhere in it is passed over.
 * @throws ConcordatError `enrolment/invitation` where it is not one, whole
 */
export function readInvitation(line: string): Invitation {
  const text = line.replaceAll(/\s/g, '');
  if (!text.startsWith(PREFIX)) {
    throw notOne(
      text.startsWith('concordat-invitation-')
        ? 'the invitation is of another version of Concordat'
        : 'this is not an invitation',
    );
  }
  const bytes = new Uint8Array(Buffer.from(text.slice(PREFIX.length), 'base64url'));
  const body = bytes.subarray(0, -CHECKSUM);
  if (!sameBytes(sha256(body).subarray(0, CHECKSUM), bytes.subarray(-CHECKSUM)))
    throw notOne('the invitation was cut or changed on its way');
  const invitation = read(body);
  const { version, address, study, id, secret, authority, coordinatorKey } = invitation;
  if (
    version !== VERSION ||
    !/^[^:/\s]+:[0-9]{1,5}$/.test(address) ||
    study === '' ||
    id.length !== 16 ||
    secret.length < 16 ||
    authority.length !== 32 ||
    coordinatorKey.length !== 32
  )
    throw notOne('the invitation is incomplete');
  return invitation;
}

function read(body: Uint8Array): Invitation {
  try {
    return decode(Invitation, body, 'the invitation');
  } catch (cause) {
    throw notOne('the invitation cannot be read', cause);
  }
}

function notOne(message: string, cause?: unknown): ConcordatError {
  return new ConcordatError('enrolment/invitation', message, {
    remedy: 'paste the whole line that `concordat coordinator invite` printed, or ask for a new one',
    cause,
  });
}
