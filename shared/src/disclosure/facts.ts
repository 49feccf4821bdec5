/**
 * What the disclosure rules look at: facts about one analysis set, computed where the records are. They are evidence
 * for the gate and never leave the site.
 */
export interface DisclosureFacts {
  /** Participants in the analysis set; a grouped row counts its trials. */
  readonly participants: number;
  /** Participants of each arm, control first; empty where the plan names no treatment. */
  readonly perArm: readonly number[];
  /** Of the study's model: the design's columns, the intercept included, and the family's own (thresholds, log hazards). */
  readonly parameters: number;
  /** Binary: the fewer of events and non-events. Counts and time-to-event: events. Continuous: null. */
  readonly events: number | null;
  readonly cells: readonly Cell[];
  /** Largest leverage of a participant in the design, 0 … 1; see `leverage.ts`. */
  readonly leverage: number;
  readonly rank: Rank;
}

/** The smallest non-empty cell of a table that the released numbers imply. */
export interface Cell {
  readonly what:
    | 'level'
    | 'level x arm'
    | 'level x outcome'
    | 'level x arm x outcome'
    | 'interval x arm x outcome';
  /** The variable whose levels (the treatment's own arms are its levels) or intervals make the table. */
  readonly variable: string;
  readonly count: number;
}

export interface Rank {
  /** Some column is an exact combination of the ones before it; stage one drops it. */
  readonly deficient: boolean;
  /** Some column is almost a combination of the others. */
  readonly nearDeficient: boolean;
}
