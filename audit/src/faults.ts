/** What is found in one log, held until its end: only then it is known which of two records that differ is the one that was signed. */
import type { FindingKind, Note, Place, Report } from './finding.ts';

interface Fault {
  readonly kind: FindingKind;
  readonly place: Place;
  readonly message: string;
}

/** Of one log: whoever changed more than this is not told all of it. */
const FINDING_LIMIT = 1000;

export class Faults {
  readonly #report: Report;
  readonly #notes: Note[] = [];
  readonly #found: Fault[] = [];
  /** What may only follow from a change of the entry that it is about, or of one of its bundle. */
  readonly #suspicions: (Fault & { readonly n: number; readonly ofBundle: boolean })[] = [];
  #left = 0;

  constructor(report: Report) {
    this.#report = report;
  }

  get count(): number {
    return this.#found.length;
  }

  /** The first entry, from this one on, that something is wrong about. */
  firstSuspect(from: number): number | null {
    const suspects = this.#suspicions.map(({ n }) => n).filter((n) => n >= from);
    return suspects.length === 0 ? null : Math.min(...suspects);
  }

  find(kind: FindingKind, place: Place, message: string): void {
    this.#keep(this.#found, { kind, place, message });
  }

  /** As `find`, unless the entry turns out not to be the one that was logged. */
  suspect(n: number, kind: FindingKind, place: Place, message: string): void {
    this.#keep(this.#suspicions, { n, ofBundle: false, kind, place: { entry: n, ...place }, message });
  }

  /** As `find`, unless any entry of that one's bundle turns out not to be the one that was logged. */
  suspectBundle(n: number, kind: FindingKind, place: Place, message: string): void {
    this.#keep(this.#suspicions, { n, ofBundle: true, kind, place, message });
  }

  note(place: Place, message: string): void {
    if (this.#notes.length < FINDING_LIMIT) this.#notes.push({ place, message });
  }

  /** Tells all of it about the log of this name, but for what is about entries that are accounted for already. */
  tell(origin: string | null, accounted: (n: number, bundle: boolean) => boolean): void {
    const log = origin === null ? {} : { log: origin };
    const suspicions = this.#suspicions
      .filter(({ n, ofBundle }) => !accounted(n, ofBundle))
      .toSorted((a, b) => a.n - b.n);
    for (const { kind, place, message } of [...this.#found, ...suspicions])
      this.#report.find({ kind, place: { ...log, ...place }, message });
    if (this.#left > 0)
      this.#report.find({
        kind: 'mutation',
        place: log,
        message: `and ${this.#left} findings more in this log`,
      });
    for (const { place, message } of this.#notes) this.#report.note({ place: { ...log, ...place }, message });
  }

  #keep<T extends Fault>(list: T[], fault: T): void {
    if (list.length < FINDING_LIMIT) list.push(fault);
    else this.#left++;
  }
}
