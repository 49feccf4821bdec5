/** Cross-classifications of an analysis set's rows: counted once over everything that divides them, then summed over what a table leaves out. */

/** Level of each row. */
export interface Levels {
  readonly index: Int32Array;
  readonly size: number;
}

/** More cells than this are not counted at once. */
const LARGEST = 2 ** 16;

export class Classification {
  readonly #margins: readonly (Levels & { readonly name: string })[];
  readonly #rows: number;
  readonly #weights: Float64Array | null;
  readonly #events: Float64Array | null;
  readonly #joint: Table | null;

  /**
   * @param weights participants of each row; null: one
   * @param events of them with the event; null: there is none
   */
  constructor(
    margins: ReadonlyMap<string, Levels>,
    rows: number,
    weights: Float64Array | null,
    events: Float64Array | null,
  ) {
    this.#margins = [...margins].map(([name, levels]) => ({ name, ...levels }));
    this.#rows = rows;
    this.#weights = weights;
    this.#events = events;
    const size = this.#margins.reduce((product, margin) => product * margin.size, 1);
    this.#joint = size <= LARGEST ? this.#count(this.#margins) : null;
  }

  /** The smallest non-empty cell of the table of these margins, or of those of its people with the event, or by it; 0: all are empty. */
  smallest(names: readonly string[], of: 'all' | 'events' | 'by event'): number {
    const wanted = this.#margins.filter(({ name }) => names.includes(name));
    const { all, having } =
      this.#joint === null ? this.#count(wanted) : sumOver(this.#joint, this.#margins, wanted);
    if (of === 'all') return smallestCount(all);
    const events = smallestCount(having);
    if (of === 'events') return events;
    return smallestCount([events, smallestCount(all.map((count, cell) => count - having[cell]!))]);
  }

  #count(margins: readonly Levels[]): Table {
    const n = this.#rows;
    const [first, ...rest] = margins;
    const cell = first === undefined ? new Int32Array(n) : first.index.slice();
    for (const { index, size } of rest) for (let i = 0; i < n; i++) cell[i] = cell[i]! * size + index[i]!;
    const size = margins.reduce((product, margin) => product * margin.size, 1);
    const [all, having] = [new Float64Array(size), new Float64Array(size)];
    const [weights, events] = [this.#weights, this.#events];
    if (weights === null) for (let i = 0; i < n; i++) all[cell[i]!]!++;
    else for (let i = 0; i < n; i++) all[cell[i]!]! += weights[i]!;
    if (events !== null) for (let i = 0; i < n; i++) having[cell[i]!]! += events[i]!;
    return { all, having };
  }
}

interface Table {
  readonly all: Float64Array;
  readonly having: Float64Array;
}

function sumOver(
  joint: Table,
  margins: readonly (Levels & { readonly name: string })[],
  wanted: readonly Levels[],
): Table {
  const size = wanted.reduce((product, margin) => product * margin.size, 1);
  const out = { all: new Float64Array(size), having: new Float64Array(size) };
  const digits = margins.map(() => 0);
  for (let cell = 0; cell < joint.all.length; cell++) {
    let rest = cell;
    for (let m = margins.length - 1; m >= 0; m--) {
      digits[m] = rest % margins[m]!.size;
      rest = Math.floor(rest / margins[m]!.size);
    }
    let target = 0;
    margins.forEach((margin, m) => {
      if (wanted.includes(margin)) target = target * margin.size + digits[m]!;
    });
    out.all[target]! += joint.all[cell]!;
    out.having[target]! += joint.having[cell]!;
  }
  return out;
}

/** The smallest that is not 0; 0 where all are. A participant of several rows is a sum of parts of one. */
export function smallestCount(counts: Iterable<number>): number {
  let smallest = Infinity;
  for (const count of counts) {
    const rounded = Math.round(count * 1e6) / 1e6;
    if (rounded > 0 && rounded < smallest) smallest = rounded;
  }
  return smallest === Infinity ? 0 : smallest;
}
