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
