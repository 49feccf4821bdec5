/**
 * What one side makes of the other's log. A witness keeps the last checkpoint that it cosigned, and takes another only with a proof
 * that it holds all of the kept one (RFC 9162, 2.1.4): then nothing of the past was dropped, moved or changed.
 */
import { Standing, type Witness } from '@concordat/proto/concordat/v1/exchange.ts';

import { ConcordatError, type ErrorCode } from '../errors.ts';
import { sameBytes } from '../wire/digest.ts';
import { HASH_LENGTH, isConsistent, type MerkleTree, type TreeHead } from './merkle.ts';

/** `rollback`: shorter than it was. `split-view`: two histories that are not one the beginning of the other. */
export type DivergenceKind = 'rollback' | 'split-view';

export type Verdict = 'extends' | 'unproven' | DivergenceKind;

/**
 * A presented checkpoint against the kept one; none is kept at the first contact, when anything is taken. `from`: where the sender
 * knows the kept one to be. A request that was overtaken on its way shows an earlier state of a sound log, and does not know of a
 * checkpoint that was kept since: it proves nothing, and nothing is held against it.
 */
export function judge(
  kept: TreeHead | null,
  presented: TreeHead,
  from: number,
  proof: readonly Uint8Array[],
): Verdict {
  if (kept === null) return 'extends';
  if (presented.size === kept.size) return sameBytes(presented.root, kept.root) ? 'extends' : 'split-view';
  if (from !== kept.size) return 'unproven';
  if (presented.size < kept.size) return 'rollback';
  return isConsistent(kept, presented, proof) ? 'extends' : 'split-view';
}

/** Whether a checkpoint that this side once signed is of its log no more; null where it is still. */
export function divergenceFrom(
  tree: Pick<MerkleTree, 'size' | 'root'>,
  signed: TreeHead,
): DivergenceKind | null {
  if (signed.size > tree.size) return 'rollback';
  return sameBytes(tree.root(signed.size), signed.root) ? null : 'split-view';
}

const STANDINGS = {
  unproven: Standing.STANDING_UNPROVEN,
  rollback: Standing.STANDING_ROLLBACK,
  'split-view': Standing.STANDING_SPLIT_VIEW,
} as const;

export const standingOf = (verdict: Exclude<Verdict, 'extends'> | null): Standing =>
  verdict === null ? Standing.STANDING_UNSPECIFIED : STANDINGS[verdict];

/** What the other side makes of this side's log; null where it goes on. */
export function readStanding(standing: Standing): Exclude<Verdict, 'extends'> | null {
  switch (standing) {
    case Standing.STANDING_UNSPECIFIED:
      return null;
    case Standing.STANDING_UNPROVEN:
      return 'unproven';
    case Standing.STANDING_ROLLBACK:
      return 'rollback';
    case Standing.STANDING_SPLIT_VIEW:
      return 'split-view';
    case Standing.UNRECOGNIZED:
      throw malformed();
  }
}

/** Longest note: a name of 200 characters in percent encoding, and two signatures. */
const NOTE_LIMIT = 8 * 1024;
/** Twice the height of the highest tree. */
const PROOF_LIMIT = 64;

/** Throws wire/malformed or wire/length. */
export function checkWitness(witness: Witness | undefined): Witness {
  if (witness === undefined) throw malformed();
  const { checkpoint, kept, proof } = witness;
  if (
    checkpoint.length > NOTE_LIMIT ||
    kept.length > NOTE_LIMIT ||
    proof.length > PROOF_LIMIT ||
    proof.some(({ length }) => length !== HASH_LENGTH)
  )
    throw new ConcordatError('wire/length', 'a checkpoint or its proof is longer than any can be', {
      place: 'witness',
    });
  return witness;
}

export function malformed(): ConcordatError {
  return new ConcordatError('wire/malformed', 'an exchange carries no checkpoint of the sender’s log', {
    place: 'witness',
    remedy: 'both sides must run compatible versions',
  });
}

export const divergenceCode = (kind: DivergenceKind): Extract<ErrorCode, `log/${DivergenceKind}`> =>
  `log/${kind}`;
