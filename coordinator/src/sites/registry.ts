/**
 * The registry: which sites are enrolled with which key, the certificates that were issued to them, and the invitations.
 * SQLite (WAL) that is locked only while it is written, so that the command line invites and revokes while the coordinator
 * runs, and the coordinator sees it at the next call. Times are milliseconds since 1970; secrets are kept as their SHA-256.
 */
import { refuseReservedStudy } from '@concordat/shared/plan/names.ts';
import { timingSafeEqual } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { sameBytes, sha256 } from '@concordat/shared/wire/digest.ts';
import { admissionError } from '@concordat/shared/wire/enrolment.ts';

export interface Site {
  readonly study: string;
  /** Ed25519 public key, 32 bytes. */
  readonly key: Uint8Array;
  readonly enrolled: number;
  /** When the admission was withdrawn; null where it stands. */
  readonly revoked: number | null;
  /** Certificates of an outside authority that began before this are of an earlier admission; null: there was none. */
  readonly since: number | null;
}

export interface IssuedCertificate {
  readonly study: string;
  /** SHA-256 of the certificate. */
  readonly fingerprint: Uint8Array;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly notAfter: number;
  readonly revoked: number | null;
}

export interface NewInvitation {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly secret: Uint8Array;
  readonly study: string;
  readonly expires: number;
}

/** Who asks for a certificate: what an invitation is used up by. */
export interface Applicant {
  readonly study: string;
  /** Ed25519 public key, 32 bytes. */
  readonly key: Uint8Array;
  /** SubjectPublicKeyInfo of the TLS key. */
  readonly tls: Uint8Array;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sites (
    study TEXT PRIMARY KEY, key BLOB NOT NULL, enrolled INTEGER NOT NULL, revoked INTEGER, since INTEGER
  ) STRICT;
  CREATE TABLE IF NOT EXISTS certificates (
    fingerprint BLOB PRIMARY KEY, study TEXT NOT NULL, tls BLOB NOT NULL, certificate BLOB NOT NULL,
    not_after INTEGER NOT NULL, revoked INTEGER, UNIQUE (study, tls)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS invitations (
    id BLOB PRIMARY KEY, secret BLOB NOT NULL, study TEXT NOT NULL, expires INTEGER NOT NULL,
    key BLOB, tls BLOB, withdrawn INTEGER NOT NULL DEFAULT 0
  ) STRICT;`;

const VERSION = 1;
/** How long a write waits for the other process's, milliseconds. */
const BUSY_TIMEOUT = 5_000;

interface InvitationRow {
  readonly secret: Uint8Array;
  readonly study: string;
  readonly expires: number;
  readonly key: Uint8Array | null;
  readonly tls: Uint8Array | null;
  readonly withdrawn: number;
}

export class SiteRegistry {
  readonly #db: DatabaseSync;

  constructor(file: string) {
    try {
      // SQLite would make it readable for others.
      closeSync(openSync(file, 'a', 0o600));
      this.#db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT });
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      const { user_version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
      if (user_version > VERSION) throw new Error(`version ${user_version}`);
      this.#db.exec(`${SCHEMA} PRAGMA user_version = ${VERSION}`);
    } catch (cause) {
      throw new ConcordatError('store/corrupt', 'the registry of sites cannot be opened', {
        place: file,
        remedy:
          'check permissions and disk; if the file is damaged or of a newer version, restore it from a backup',
        cause,
      });
    }
  }

  sites(): readonly Site[] {
    return this.#db.prepare('SELECT * FROM sites ORDER BY study').all() as unknown as readonly Site[];
  }

  site(study: string): Site | null {
    return (this.#db.prepare('SELECT * FROM sites WHERE study = ?').get(study) ?? null) as Site | null;
  }

  /** The site that is enrolled with this signing key. */
  ownerOf(key: Uint8Array): string | null {
    const row = this.#db.prepare('SELECT study FROM sites WHERE key = ?').get(key);
    return row === undefined ? null : (row as { study: string }).study;
  }

  certificate(fingerprint: Uint8Array): IssuedCertificate | null {
    return this.#certificateWhere('fingerprint = ?', fingerprint);
  }

  /** The one that was issued for this TLS key; null where none was. */
  certificateFor(study: string, tls: Uint8Array): IssuedCertificate | null {
    return this.#certificateWhere('study = ? AND tls = ?', study, tls);
  }

  /** When the last of the study's certificates ends; null where none was issued. */
  lastCertificateEnds(study: string): number | null {
    const row = this.#db
      .prepare('SELECT max(not_after) AS ends FROM certificates WHERE study = ?')
      .get(study);
    return (row as { ends: number | null }).ends;
  }

  /** Invitations that can still be used: study → when each expires. */
  openInvitations(now: number): ReadonlyMap<string, number> {
    const rows = this.#db
      .prepare('SELECT study, expires FROM invitations WHERE key IS NULL AND withdrawn = 0 AND expires > ?')
      .all(now) as unknown as readonly { study: string; expires: number }[];
    return new Map(rows.map(({ study, expires }) => [study, expires]));
  }

  /**
   * Keeps an invitation; an earlier one of the study that nobody used is void.
   * @throws ConcordatError `enrolment/exists` where the study is enrolled
   */
  invite({ id, secret, study, expires }: NewInvitation): void {
    refuseReservedStudy(study, 'study');
    this.#write(() => {
      this.#refuseEnrolled(study);
      this.#db.prepare('DELETE FROM invitations WHERE study = ? AND key IS NULL').run(study);
      this.#db
        .prepare('INSERT INTO invitations (id, secret, study, expires) VALUES (?, ?, ?, ?)')
        .run(id, sha256(secret), study, expires);
    });
  }

  /**
   * Uses an invitation up for these keys, and enrols the site. The same keys may use it again, as the answer may have been lost: for
   * the certificate that they have, or, before its expiry, for one where none was made. Returns the site's admission.
   * @throws ConcordatError `enrolment/…` where it cannot be used
   */
  claim(id: Uint8Array, secret: Uint8Array, applicant: Applicant, now: number): Site {
    const { study, key, tls } = applicant;
    return this.#write(() => {
      const row = this.#db.prepare('SELECT * FROM invitations WHERE id = ?').get(id) as unknown as
        | InvitationRow
        | undefined;
      if (row === undefined || !timingSafeEqual(row.secret, sha256(secret)))
        throw admissionError('enrolment/invitation');
      if (row.study !== study) throw admissionError('enrolment/wrong-site', study);
      const used = row.key !== null && row.tls !== null;
      if (used && (!sameBytes(row.key, key) || !sameBytes(row.tls, tls)))
        throw admissionError('enrolment/used');
      if (row.withdrawn !== 0) throw admissionError('enrolment/revoked');
      const issued = this.certificateFor(study, tls);
      // Before anything is used up: a key whose certificate was revoked never gets another.
      if (isRevoked(issued)) throw admissionError('enrolment/revoked', study);
      const good = used && issued !== null ? issued.notAfter : row.expires;
      if (good <= now) throw admissionError('enrolment/expired');
      const site = this.site(study);
      if (used && site !== null) return site;
      this.#db.prepare('UPDATE invitations SET key = ?, tls = ? WHERE id = ?').run(key, tls, id);
      return this.#enrol(study, key, now);
    });
  }

  /**
   * Enrols a site whose certificate is another authority's.
   * @throws ConcordatError `enrolment/exists` where the study is enrolled
   */
  admit(study: string, key: Uint8Array, now: number): void {
    refuseReservedStudy(study, 'study');
    this.#write(() => {
      this.#refuseEnrolled(study);
      this.#enrol(study, key, now);
    });
  }

  /**
   * Keeps a certificate that was made for the admission that began at `enrolled`, unless the TLS key got one meanwhile: then that
   * one is returned. The command line may revoke the site, and another call enrol it anew, while a certificate is made.
   * @throws ConcordatError `enrolment/revoked` where the admission has ended, or a certificate for the TLS key was revoked
   */
  addCertificate(
    made: Omit<IssuedCertificate, 'study' | 'revoked'>,
    { study, key, tls }: Applicant,
    enrolled: number,
    now: number,
  ): IssuedCertificate {
    return this.#write(() => {
      const site = this.site(study);
      if (site?.revoked !== null || site.enrolled !== enrolled || !sameBytes(site.key, key))
        throw admissionError('enrolment/revoked', study);
      const first = this.certificateFor(study, tls);
      if (isRevoked(first)) throw admissionError('enrolment/revoked', study);
      if (first !== null && first.notAfter > now) return first;
      this.#db
        .prepare(
          'INSERT OR REPLACE INTO certificates (fingerprint, study, tls, certificate, not_after) VALUES (?, ?, ?, ?, ?)',
        )
        .run(made.fingerprint, study, tls, made.certificate, made.notAfter);
      return { study, ...made, revoked: null };
    });
  }

  /** Ends the site's admission, every certificate and every invitation of it, also those used. False where there was nothing to end. */
  revoke(study: string, now: number): boolean {
    return this.#write(() => {
      const withdrawn = this.#db
        .prepare('UPDATE invitations SET withdrawn = 1 WHERE study = ? AND withdrawn = 0')
        .run(study);
      this.#db
        .prepare('UPDATE certificates SET revoked = ? WHERE study = ? AND revoked IS NULL')
        .run(now, study);
      const revoked = this.#db
        .prepare('UPDATE sites SET revoked = ?, since = ? WHERE study = ? AND revoked IS NULL')
        .run(now, now, study);
      return Number(withdrawn.changes) + Number(revoked.changes) > 0;
    });
  }

  close(): void {
    this.#db.close();
  }

  #certificateWhere(condition: string, ...values: (string | Uint8Array)[]): IssuedCertificate | null {
    const columns = 'study, fingerprint, certificate, not_after AS notAfter, revoked';
    const row = this.#db.prepare(`SELECT ${columns} FROM certificates WHERE ${condition}`).get(...values);
    return (row ?? null) as IssuedCertificate | null;
  }

  #refuseEnrolled(study: string): void {
    const site = this.site(study);
    if (site === null || site.revoked !== null) return;
    throw new ConcordatError('enrolment/exists', 'the site is enrolled already', {
      place: study,
      remedy: `for new keys, end its present admission first: \`concordat coordinator revoke ${study}\``,
    });
  }

  #enrol(study: string, key: Uint8Array, now: number): Site {
    return this.#db
      .prepare(
        `INSERT INTO sites (study, key, enrolled) VALUES (?, ?, ?)
         ON CONFLICT (study) DO UPDATE SET key = excluded.key, enrolled = excluded.enrolled, revoked = NULL
         RETURNING *`,
      )
      .get(study, key, now) as unknown as Site;
  }

  #write<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}

function isRevoked(certificate: IssuedCertificate | null): boolean {
  return certificate !== null && certificate.revoked !== null;
}
