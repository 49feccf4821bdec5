/** Whose signing key is whose: as the auditor was told, or else as the logs themselves say. */
import { COORDINATOR_ORIGIN, siteOrigin } from '@concordat/shared/log/note.ts';
import { sameBytes, sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { Place, Report } from './finding.ts';

/** A study's id, or `coordinator`. */
export type Party = string;
export const COORDINATOR: Party = 'coordinator';

export interface KeyUsed {
  readonly party: Party;
  readonly key: Uint8Array;
  /** False where a log was believed about it: then somebody who has exchanged all logs has exchanged the key too. */
  readonly given: boolean;
}

export class PartyKeys {
  readonly #keys = new Map<Party, { readonly key: Uint8Array; readonly given: boolean }>();
  readonly #told = new Set<string>();
  /** Further keys of a site that joined anew, as rosters name them. */
  readonly #anew = new Map<Party, Uint8Array[]>();

  constructor(given: ReadonlyMap<Party, Uint8Array> = new Map()) {
    for (const [party, key] of given) this.#keys.set(party, { key, given: true });
  }

  of(party: Party): Uint8Array | null {
    return this.#keys.get(party)?.key ?? null;
  }

  /** Whether a party has had this key. */
  knows(party: Party, key: Uint8Array): boolean {
    const known = this.#keys.get(party)?.key;
    return (known !== undefined && sameBytes(known, key)) || this.#isAnew(party, key);
  }

  /** Whether it had more than one. */
  hasTwo(party: Party): boolean {
    return this.#anew.has(party);
  }

  /** What a roster says that a site's key is: a site that lost its keys is invited again, and has others from then on. */
  learnRostered(study: Party, key: Uint8Array, place: Place, report: Report): void {
    const known = this.#keys.get(study);
    if (known === undefined || known.given) return this.learn(study, key, place, report);
    if (this.knows(study, key)) return;
    const keys = this.#anew.get(study) ?? [];
    this.#anew.set(study, keys);
    keys.push(Uint8Array.from(key));
    report.note({
      place,
      message: `${named(study)} has two keys in these logs: ${fingerprint(key)} in this run, and ${fingerprint(known.key)} elsewhere. A site that lost its keys and joined anew has; so has one in whose name somebody else answered: compare both with the site by telephone`,
    });
  }

  /** What a log says that a party's key is: believed where nothing else is known, held against it otherwise. */
  learn(party: Party, key: Uint8Array, place: Place, report: Report): void {
    const known = this.#keys.get(party);
    if (known === undefined) {
      this.#keys.set(party, { key: Uint8Array.from(key), given: false });
      return;
    }
    if (sameBytes(known.key, key) || this.#isAnew(party, key)) return;
    const once = `${party} ${toHex(key)} ${place.log}`;
    if (this.#told.has(once)) return;
    this.#told.add(once);
    report.find({
      kind: 'signature',
      place,
      message: `${named(party)} has another key here (${fingerprint(key)}) than ${known.given ? 'the one that was given' : 'elsewhere in these logs'} (${fingerprint(known.key)})`,
    });
  }

  #isAnew(party: Party, key: Uint8Array): boolean {
    return this.#anew.get(party)?.some((other) => sameBytes(other, key)) === true;
  }

  /** Of every party that a key is known of, by party. */
  used(): readonly KeyUsed[] {
    const first = [...this.#keys].map(([party, known]) => ({ party, ...known }));
    const anew = [...this.#anew].flatMap(([party, keys]) =>
      keys.map((key) => ({ party, key, given: false })),
    );
    return [...first, ...anew].toSorted((a, b) => (a.party < b.party ? -1 : 1));
  }
}

export const named = (party: Party): string =>
  party === COORDINATOR ? 'the coordinator' : `the site ${party}`;

/** SHA-256 of a key, as it is compared by telephone. */
export const fingerprint = (key: Uint8Array): string =>
  toHex(sha256(key)).match(/.{4}/g)!.slice(0, 8).join(' ');

const partyOfOrigin = (origin: string): Party =>
  origin === COORDINATOR_ORIGIN ? COORDINATOR : decodeURIComponent(origin.slice(siteOrigin('').length));
/** Of a party's log. */
export const originOf = (party: Party): string =>
  party === COORDINATOR ? COORDINATOR_ORIGIN : siteOrigin(party);

/** Party of a log by its origin; null where it is no log of this software. */
export function partyOf(origin: string): Party | null {
  try {
    const party = partyOfOrigin(origin);
    return originOf(party) === origin ? party : null;
  } catch {
    return null;
  }
}
