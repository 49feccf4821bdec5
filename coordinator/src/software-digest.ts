/** The coordinator's own program as one digest, so that a result names the code that computed it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
/** What the program is made of beside its packages, also in an image (`deploy/build-images.sh`). */
const ROOMS = ['coordinator/src', 'proto/gen', 'shared/schema', 'shared/src'];

/**
 * SHA-256 (hex) over the paths and contents of the program's files in the order of their paths, each as `<SHA-256 of the file>  <path>`
 * and a line's end, as `sha256sum` writes it. Tests are no part of it.
 */
export function softwareDigest(): string {
  const paths = ROOMS.flatMap((room) =>
    readdirSync(join(REPOSITORY, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/(\.test|testing)\.ts$/.test(entry.name))
      .map(({ parentPath, name }) => join(parentPath, name).slice(REPOSITORY.length + 1)),
  ).toSorted();
  const lines = paths.map((path) => `${toHex(sha256(readFileSync(join(REPOSITORY, path))))}  ${path}\n`);
  return toHex(sha256(lines.join('')));
}
