/**
 * The coordinator's word for a run: which plan, sites, software and logs its result stands on. An in-toto Statement v1
 * (https://in-toto.io/Statement/v1) about the file `result.json`, in a DSSE envelope.
 */
import Type, { type Static } from 'typebox';

import { ConcordatError } from '../errors.ts';
import { schemaCheck } from '../plan/document.ts';
import { sameBytes, toHex } from '../wire/digest.ts';
import type { SigningIdentity } from '../wire/signing.ts';
import { isSignedBy, parseEnvelope, signEnvelope } from './dsse.ts';

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

const closed = { additionalProperties: false };
const text = Type.String({ minLength: 1 });
const hex = (bytes: number, description: string) =>
  Type.String({ pattern: `^[0-9a-f]{${2 * bytes}}$`, description });
const sha256 = hex(32, 'SHA-256, hex');
const key = hex(32, 'public Ed25519 key, hex');

const checkpoint = {
  origin: text,
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  root: hex(32, 'root of the Merkle tree over that many entries, hex'),
};

const RunStatementSchema = Type.Object(
  {
    _type: Type.Literal('https://in-toto.io/Statement/v1'),
    subject: Type.Array(
      Type.Object({ name: Type.Literal('result.json'), digest: Type.Object({ sha256 }, closed) }, closed),
      { minItems: 1, maxItems: 1 },
    ),
    predicateType: Type.Literal('urn:concordat:run:v1'),
    predicate: Type.Object(
      {
        run: hex(16, 'id of the run, hex'),
        plan: Type.Object({ id: text, sha256 }, closed),
        roster: Type.Object(
          { sha256, sites: Type.Array(Type.Object({ study: text, key }, closed)) },
          { ...closed, description: 'SHA-256 of the encoded roster, and its sites in its order' },
        ),
        software: Type.Object({ version: text, sha256 }, closed),
        coordinator: Type.Object(
          { key, checkpoint: Type.Object(checkpoint, closed) },
          { ...closed, description: "who signs, and where its log stood with the run's last entry" },
        ),
        witnessed: Type.Array(Type.Object({ study: text, ...checkpoint }, closed), {
          description: "last checkpoint of each site's log that the coordinator was told in the run",
        }),
        result: sha256,
      },
      closed,
    ),
  },
  closed,
);

export type RunPredicate = Static<typeof RunStatementSchema>['predicate'];

const check = schemaCheck(RunStatementSchema);

/**
 * Signs for a run; the text of the envelope's file.
 * @throws ConcordatError `wire/malformed` where the predicate is not what a reader would accept
 */
export function signRunStatement(predicate: RunPredicate, identity: SigningIdentity): string {
  const statement: Static<typeof RunStatementSchema> = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'result.json', digest: { sha256: predicate.result } }],
    predicateType: 'urn:concordat:run:v1',
    predicate,
  };
  const payload = Buffer.from(JSON.stringify(statement));
  checked(payload, 'the statement');
  return signEnvelope(PAYLOAD_TYPE, payload, identity);
}

/**
 * What the coordinator's key signed for a run.
 * @param place of the file, for messages
 * @throws ConcordatError `wire/malformed`, or `wire/signature` where it is not that key's word
 */
export function verifyRunStatement(
  envelopeText: string,
  coordinatorKey: Uint8Array,
  place: string,
): RunPredicate {
  const envelope = parseEnvelope(envelopeText, place);
  if (envelope.payloadType !== PAYLOAD_TYPE) throw malformed(place, 'it holds no in-toto statement');
  if (!isSignedBy(envelope, coordinatorKey)) {
    throw new ConcordatError('wire/signature', "the statement is not signed with the coordinator's key", {
      place,
      remedy:
        'compare the key with the one that the sites have pinned; ask the consortium for the file again',
    });
  }
  const { predicate } = checked(envelope.payload, place);
  if (predicate.coordinator.key !== toHex(coordinatorKey))
    throw malformed(place, 'it names another key than the one that signed it');
  return predicate;
}

function checked(payload: Uint8Array, place: string): Static<typeof RunStatementSchema> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString());
  } catch {
    throw malformed(place, 'it is not JSON');
  }
  const [error] = check(value);
  if (error !== undefined) throw malformed(place, `${error.instancePath || '/'} ${error.message ?? ''}`);
  // A key that is written twice would be read by some as the first, by others as the last.
  if (!sameBytes(Buffer.from(JSON.stringify(value)), payload))
    throw malformed(place, 'it is not written as it is read');
  const statement = value as Static<typeof RunStatementSchema>;
  const { subject, predicate } = statement;
  if (subject[0]!.digest.sha256 !== predicate.result)
    throw malformed(place, 'its subject is another result than the one that it tells of');
  const studies = predicate.roster.sites.map(({ study }) => study);
  const witnessed = predicate.witnessed.map(({ study }) => study);
  if (
    !areDistinct(studies) ||
    !areDistinct(witnessed) ||
    !witnessed.every((study) => studies.includes(study))
  )
    throw malformed(place, 'a site is named twice, or is not on the roster');
  return statement;
}

const areDistinct = (names: readonly string[]): boolean => new Set(names).size === names.length;

function malformed(place: string, what: string): ConcordatError {
  return new ConcordatError('wire/malformed', `not a statement about a run: ${what}`, {
    place,
    remedy: 'the file was cut or changed, or is of another version',
  });
}
