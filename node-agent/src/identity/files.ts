/** The files of this site's TLS key and certificate: replaced together, without a moment at which neither pair is whole. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { dirname } from 'node:path';

import { ConcordatError } from '@concordat/shared/errors.ts';

import { hasKey } from './certificates.ts';
import { openKey } from './keys.ts';

/** PEM texts; the key is decrypted. */
export interface TlsPair {
  readonly certificate: string;
  readonly key: string;
}

/** Their files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The name of a file's successor until it takes its place. */
export function nextOf(file: string): string {
  return `${file}.next`;
}

/** The pair in use. A replacement that was killed between its two steps is finished first. */
export function readTls(files: TlsFiles, passphrase: string | null): TlsPair {
  const key = openKey(readConfigured(files.key), passphrase, files.key);
  const certificate = readConfigured(files.certificate);
  const waiting = nextOf(files.certificate);
  if (fits(certificate, key) || !existsSync(waiting)) return { certificate, key };
  const next = readConfigured(waiting);
  if (!fits(next, key)) return { certificate, key };
  renameSync(waiting, files.certificate);
  return { certificate: next, key };
}

/** Puts a new pair, whose key is in its `.next` file already, in the place of the old one. */
export function installTls(files: TlsFiles, certificate: string): void {
  replacePrivate(nextOf(files.certificate), certificate);
  renameSync(nextOf(files.key), files.key);
  renameSync(nextOf(files.certificate), files.certificate);
  flushFolder(files.key);
  flushFolder(files.certificate);
}

/** In place of what was there, for its owner alone: a reader sees the old file or the new one, also after a power cut. */
export function replacePrivate(file: string, text: string): void {
  const handle = openSync(`${file}.part`, 'w', 0o600);
  writeFileSync(handle, text);
  fsyncSync(handle);
  closeSync(handle);
  renameSync(`${file}.part`, file);
  flushFolder(file);
}

/** A file that the configuration names. */
export function readConfigured(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConcordatError('config/invalid', 'the file cannot be read', {
      place: file,
      remedy: 'check its path and permissions',
      cause,
    });
  }
}

/** Whether both are what they should be, and belong together. */
export function fits(certificate: string, key: string): boolean {
  try {
    return hasKey(new X509Certificate(certificate), key);
  } catch {
    return false;
  }
}

function flushFolder(file: string): void {
  const folder = openSync(dirname(file), 'r');
  fsyncSync(folder);
  closeSync(folder);
}
