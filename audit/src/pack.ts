/** A bundle of a log to hand over: one tar file with the same bytes for the same log, whoever makes it and when. */
import type { Readable } from 'node:stream';

import { bodiesPath, encodeEntries, TILE_WIDTH, tilePath } from '@concordat/shared/log/tiles.ts';
import { pack, type Pack } from 'tar-stream';

import type { Snapshot } from './snapshot.ts';

export interface PackOptions {
  /** Commitments stay, and prove a body to whoever is given it. */
  readonly bodies: boolean;
}

interface Member {
  readonly path: string;
  readonly size: number;
  readonly bytes: () => Iterable<Uint8Array>;
}

/** Name of the folder in the bundle, from that of the log. */
const folderOf = (snapshot: Snapshot): string =>
  snapshot.checkpoint.origin.replaceAll(/[^A-Za-z0-9._-]/g, '-');

/** The bundle as it is made: nothing of it waits in memory. Closes the snapshot at its end. */
export function packed(snapshot: Snapshot, options: PackOptions): Readable {
  const tar = pack();
  const folder = folderOf(snapshot);
  const fill = async (): Promise<void> => {
    try {
      for (const member of members(snapshot, options)) await add(tar, `${folder}/${member.path}`, member);
      tar.finalize();
    } catch (error) {
      tar.destroy(error instanceof Error ? error : new Error(String(error)));
    } finally {
      snapshot.close();
    }
  };
  void fill();
  return tar as unknown as Readable;
}

async function add(tar: Pack, name: string, { size, bytes }: Member): Promise<void> {
  const header = { name, size, mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'file' } as const;
  await new Promise<void>((resolve, reject) => {
    const entry = tar.entry(header, (error) => (error == null ? resolve() : reject(error)));
    const write = async (): Promise<void> => {
      for (const piece of bytes())
        if (!entry.write(piece)) await new Promise<void>((drained) => entry.once('drain', () => drained()));
      entry.end(undefined);
    };
    write().catch(reject);
  });
}

/** In the order of their names. */
function* members(snapshot: Snapshot, { bodies }: PackOptions): Generator<Member> {
  const { size } = snapshot.checkpoint;
  const bundles = Array.from({ length: Math.ceil(size / TILE_WIDTH) }, (_, index) => index);
  if (bodies && snapshot.hasBodies) {
    for (const index of bundles) {
      const length = snapshot.bodiesLength(index);
      if (length > 0)
        yield { path: bodiesPath(index), size: length, bytes: () => snapshot.bodies(index, length) };
    }
  }
  yield whole('checkpoint', Buffer.from(snapshot.note));
  const notes = [...snapshot.notes].toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [path, note] of notes) if (path.startsWith('cosigned/')) yield whole(path, Buffer.from(note));
  yield* tiles(snapshot);
  for (const index of bundles) {
    const leaves = snapshot.leaves(index);
    yield whole(tilePath('entries', index, leaves.length), encodeEntries(leaves));
  }
  for (const [path, note] of notes) if (path.startsWith('witness/')) yield whole(path, Buffer.from(note));
}

/** Full tiles and partial ones, as a log of this size has them. */
function* tiles({ tree, checkpoint }: Snapshot): Generator<Member> {
  for (let level = 0, count = checkpoint.size; count > 0; level++, count = Math.floor(count / TILE_WIDTH))
    for (let first = 0; first < count; first += TILE_WIDTH) {
      const width = Math.min(TILE_WIDTH, count - first);
      const hashes = Array.from({ length: width }, (_, i) => tree.hash(8 * level, first + i));
      yield whole(tilePath(level, first / TILE_WIDTH, width), Buffer.concat(hashes));
    }
}

function whole(path: string, bytes: Uint8Array): Member {
  return { path, size: bytes.length, bytes: () => [bytes] };
}
