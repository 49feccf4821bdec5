/**
 * The tiles of hashes over a log's full bundles, and at an orderly end those that are not full yet. They say nothing that the entries do
 * not: with them a reader finds a proof, or the entry that was changed, without reading all the others.
 */
import type * as fs from 'node:fs';
import { dirname, join } from 'node:path';

import type { MerkleTree } from './merkle.ts';
import { openBundlePath, TILE_WIDTH, tilePath } from './tiles.ts';

type TileFiles = Pick<
  typeof fs,
  'mkdirSync' | 'writeFileSync' | 'renameSync' | 'readFileSync' | 'existsSync' | 'rmSync'
>;
type Hashes = Pick<MerkleTree, 'size' | 'hash'>;

/** The tiles that bundle `sealed` completes, on every level. */
export function writeTilesOver(files: TileFiles, directory: string, tree: Hashes, sealed: number): void {
  files.rmSync(join(directory, `${tilePath('entries', sealed)}.p`), { recursive: true, force: true });
  for (let level = 0, index = sealed; ; level++) {
    writeTile(files, directory, tree, level, index, TILE_WIDTH);
    if ((index + 1) % TILE_WIDTH !== 0) return;
    index = (index + 1) / TILE_WIDTH - 1;
  }
}

/** After a crash between a bundle and the last of its tiles. */
export function writeMissingTiles(files: TileFiles, directory: string, tree: Hashes): void {
  for (let level = 0, count = tree.size; count >= TILE_WIDTH; level++) {
    count = Math.floor(count / TILE_WIDTH);
    for (let index = 0; index < count; index++)
      if (!files.existsSync(join(directory, tilePath(level, index)))) {
        const sealed = (index + 1) * TILE_WIDTH ** level - 1;
        writeTilesOver(files, directory, tree, sealed);
      }
  }
}

/** The partial tiles of the tree as it stands, in place of those of an earlier end. */
export function publishPartialTiles(files: TileFiles, directory: string, tree: Hashes): void {
  for (let level = 0, count = tree.size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const index = Math.floor(count / TILE_WIDTH);
    const width = count % TILE_WIDTH;
    files.rmSync(join(directory, `${tilePath(level, index)}.p`), { recursive: true, force: true });
    if (width > 0) writeTile(files, directory, tree, level, index, width);
    if (level > 0) continue;
    files.rmSync(join(directory, `${tilePath('entries', index)}.p`), { recursive: true, force: true });
    if (width > 0)
      put(
        files,
        join(directory, tilePath('entries', index, width)),
        files.readFileSync(join(directory, openBundlePath(index))),
      );
  }
}

function writeTile(
  files: TileFiles,
  directory: string,
  tree: Hashes,
  level: number,
  index: number,
  width: number,
): void {
  const first = index * TILE_WIDTH;
  const hashes = Array.from({ length: width }, (_, i) => tree.hash(8 * level, first + i));
  if (width === TILE_WIDTH)
    files.rmSync(join(directory, `${tilePath(level, index)}.p`), { recursive: true, force: true });
  put(files, join(directory, tilePath(level, index, width)), Buffer.concat(hashes));
}

/** A reader sees the whole tile or none. */
function put(files: TileFiles, path: string, bytes: Uint8Array): void {
  files.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  files.writeFileSync(`${path}.tmp`, bytes, { mode: 0o600 });
  files.renameSync(`${path}.tmp`, path);
}
