/** What an audit finds. */

/** What was done to the logs, or by one of the parties, so that they are as they are. */
export type FindingKind =
  /** Bytes are not those that were logged. */
  | 'mutation'
  | 'omission'
  | 'insertion'
  | 'reorder'
  | 'truncation'
  /** Two histories of one log. */
  | 'fork'
  /** An earlier time than what came before proves. */
  | 'backdating'
  /** A signature that is wrong or not there. */
  | 'signature'
  /** A file that cannot be read as what it is to be. */
  | 'malformed'
  /** An answer outside a plan that was approved. */
  | 'approval'
  /** An answer beyond what may be asked. */
  | 'budget'
  /** An answer after the agreement had ended. */
  | 'expired'
  /** A message that the schema does not allow, or of a length that its plan does not give. */
  | 'schema'
  /** An answer that the logged policy should have refused. */
  | 'policy'
  /** A question that no honest optimiser would have asked. */
  | 'question'
  /** A published number that the messages do not give. */
  | 'result'
  /** An attestation that is not of these logs or this result. */
  | 'attestation';

export interface Place {
  /** The log's origin, e.g. `concordat/site/A`; none for a result or an attestation. */
  readonly log?: string;
  /** Relative to the log's folder. */
  readonly file?: string;
  /** Position in the log. */
  readonly entry?: number;
  /** In the file. */
  readonly byte?: number;
  /** Hex. */
  readonly run?: string;
  readonly analysis?: string;
  readonly round?: number;
  readonly study?: string;
  /** Path of a field in a message or a result. */
  readonly field?: string;
}

export interface Finding {
  readonly kind: FindingKind;
  readonly place: Place;
  /** What is wrong, in words for someone who does not know the software. */
  readonly message: string;
}

/** What is no fault, and worth knowing: a process that was killed, a message that never arrived, a body that was erased or withheld. */
export interface Note {
  readonly place: Place;
  readonly message: string;
}

export interface Report {
  readonly find: (finding: Finding) => void;
  readonly note: (note: Note) => void;
}

/**
 * The nearer to what was done, the earlier: that an entry is missing says more than that the history is another one since, and that a
 * question is not the next one follows from a message that was changed before it.
 */
const RANK: Readonly<Record<FindingKind, number>> = {
  malformed: 0,
  signature: 1,
  schema: 2,
  truncation: 3,
  backdating: 3,
  omission: 4,
  insertion: 4,
  reorder: 5,
  expired: 6,
  approval: 6,
  policy: 6,
  budget: 6,
  mutation: 7,
  question: 8,
  fork: 9,
  result: 10,
  attestation: 10,
};

/** Findings as they are to be read: what is wrong with the files themselves first, then causes before what follows from them. */
export function byCause(findings: readonly Finding[]): readonly Finding[] {
  const rank = ({ kind, place }: Finding): number => {
    if (place.log !== undefined && place.file !== undefined) return RANK.malformed;
    // Where the log's own messages show that an entry is missing before them, that is why it is shorter.
    if (kind === 'omission' && place.entry !== undefined) return RANK.schema;
    return RANK[kind];
  };
  return findings.toSorted((a, b) => rank(a) - rank(b));
}
