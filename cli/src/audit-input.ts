/** What an auditor names on the command line, opened. */
import { givenLog, type OpenedLog } from '@concordat/audit/given-log.ts';
import { COORDINATOR, type Party } from '@concordat/audit/keys.ts';
import { openLog } from '@concordat/audit/open-log.ts';
import type { GivenFile } from '@concordat/audit/result-check.ts';
import { readText } from '@concordat/coordinator/process.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { fromHex } from '@concordat/shared/wire/digest.ts';

export interface LogOptions {
  readonly site: readonly string[];
  readonly coordinator?: string;
  readonly key: readonly string[];
}

/** Throws `config/invalid` where a log is none, or not that of the side that it was named for. */
export function openLogs({ site, coordinator }: LogOptions): readonly OpenedLog[] {
  const named = [
    ...site.map((path) => ({ path, option: '--site' })),
    ...(coordinator === undefined ? [] : [{ path: coordinator, option: '--coordinator' }]),
  ];
  if (named.length === 0)
    throw usage('no log is named', undefined, 'name at least one: --site <log> or --coordinator <log>');
  const logs: OpenedLog[] = [];
  for (const { path, option } of named) {
    const log = givenLog(openLog(path));
    if (log === null)
      throw usage(
        'nothing in it says whose log this is',
        path,
        'name the folder that holds `checkpoint` and `tile`, or a bundle of it',
      );
    const { party } = log.owner;
    if ((party === COORDINATOR) !== (option === '--coordinator'))
      throw usage(`this is the log of ${party}`, `${option} ${path}`, 'name it with the other option');
    if (logs.some(({ owner }) => owner.party === party))
      throw usage(`two logs of ${party} are named`, `${option} ${path}`, 'give one log of each side');
    logs.push(log);
  }
  return logs;
}

export function readKeys({ key: written }: LogOptions): ReadonlyMap<Party, Uint8Array> {
  const keys = new Map<Party, Uint8Array>();
  for (const text of written) {
    const [, party = '', hex = ''] = /^(.+)=([0-9a-fA-F]{64})$/s.exec(text) ?? [];
    if (party === '' || keys.has(party))
      throw usage(
        party === '' ? 'this names no key' : `two keys of ${party} are given`,
        `--key ${text}`,
        'write a study or `coordinator`, =, and the public key in 64 hexadecimal digits',
      );
    keys.set(party, fromHex(hex));
  }
  return keys;
}

export const readGiven = (file: string | undefined): GivenFile | null =>
  file === undefined ? null : { name: file, text: readText(file, 'config/invalid') };

function usage(message: string, place: string | undefined, remedy: string): ConcordatError {
  return new ConcordatError('config/invalid', message, {
    ...(place === undefined ? {} : { place }),
    remedy,
  });
}
