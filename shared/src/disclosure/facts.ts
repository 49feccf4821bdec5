/**
 * What the disclosure rules look at: facts about one analysis set, computed where the records are. They are evidence
 * for the gate and never leave the site.
 */
export interface DisclosureFacts {
  /** Participants in the analysis set; a grouped row counts its trials. */
  readonly participants: number;
  /**
   * Of how many equal participants the set holds the information, at most `participants`: an offset makes some weigh more than
   * others, and in a stratified Cox model only those count who share a stratum with somebody else's event.
   */
  readonly effective: number;
  /** Participants of each arm, control first; empty where the plan names no treatment. */
  readonly perArm: readonly number[];
  /** Of the study's model: the design's columns, the intercept included, and the family's own (thresholds, log hazards). */
  readonly parameters: number;
  /** Participants who carry the information where it lies in few of them; null for a continuous outcome. See `events.ts`. */
  readonly events: number | null;
  /**
   * Of a time-to-event outcome: participants of an arm who were not followed to the event, fewest of any arm that has some;
   * 0: nobody is. Null elsewhere, where they are a cell like those with the event.
   */
  readonly eventFree: number | null;
  /** Whether a row is an aggregate of the trials that it says, or else one person of whom a plan says so. */
  readonly grouped: boolean;
  /** Of an answer about parameters: among how many participants it is divided there; see `one-stage/carriers.ts`. Absent elsewhere. */
  readonly carriers?: number | null;
  readonly cells: readonly Cell[];
  /** Largest share of a participant in each of the sums that the answer tells. */
  readonly shares: readonly Share[];
  /** Largest leverage of a participant in the design, 0 … 1; see `leverage.ts`. */
  readonly leverage: number;
  /** The same in the columns of this and of every analysis linked with it that was answered; absent: no other adds to them. */
  readonly leverageTogether?: number;
  readonly rank: Rank;
}

/** The smallest non-empty cell of a table that the released numbers imply. */
export interface Cell {
  /** The table's margins, as `level x arm x outcome`; or what else divides the participants. */
  readonly what: string;
  /** The variables whose levels (the treatment's own arms are its levels), intervals or values make the table. */
  readonly variable: string;
  readonly count: number;
}

export interface Share {
  readonly what: 'squared deviations' | 'counts' | 'exposure' | 'time at risk';
  readonly variable: string;
  /** 0 … 1; 0 where the sum is 0. */
  readonly share: number;
}

export interface Rank {
  /** Some column is an exact combination of the ones before it; stage one drops it. */
  readonly deficient: boolean;
  /** Some column is almost a combination of the others. */
  readonly nearDeficient: boolean;
}
