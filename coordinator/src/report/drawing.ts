/** A figure before it has a number on the page. */
export interface Drawing {
  /** What its file's name ends with; '' for the analysis's main figure. */
  readonly suffix: string;
  readonly term: string;
  /** Name for those who do not see it. */
  readonly label: string;
  /** `id`: unique on the page. */
  readonly draw: (id: string) => string;
}
