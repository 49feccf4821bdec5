/** What a log's folder holds, by what it is for; what has no place in it is told. */
import { openBundlePath, TILE_WIDTH, tilePath } from '@concordat/shared/log/tiles.ts';

import type { Faults } from './faults.ts';
import { logFile, type LogFile } from './layout.ts';
import type { LogSource } from './log-source.ts';

type Kind<K extends LogFile['kind']> = Extract<LogFile, { readonly kind: K }> & { readonly path: string };

export interface BundleFile {
  readonly index: number;
  /** Where it is, or should be. */
  readonly path: string;
  readonly kind: 'bundle' | 'open' | 'copy' | 'missing';
}

export interface Inventory {
  /** From the first, without a gap: what is missing between two is one of them. */
  readonly bundles: readonly BundleFile[];
  readonly copies: readonly Kind<'copy'>[];
  readonly tiles: readonly Kind<'tile'>[];
  readonly bodies: ReadonlyMap<number, string>;
  readonly notes: readonly Kind<'witness' | 'cosigned'>[];
}

/** Bundles that may be missing between two: what is farther off is no part of this log. */
const GAP_LIMIT = 1000;

export function takeInventory(source: LogSource, faults: Faults): Inventory {
  const found: (LogFile & { readonly path: string })[] = [];
  for (const path of [...source.files.keys()].toSorted()) {
    const file = logFile(path);
    if (file === null) faults.find('insertion', { file: path }, 'a log has no such file');
    else if (file.kind === 'leftover')
      faults.note({ file: path }, 'left by a process that died while it wrote; it stands for nothing');
    else if (file.kind === 'system')
      faults.note({ file: path }, 'a file of an operating system, and no part of the log');
    else if (file.kind === 'acknowledgement')
      faults.note(
        { file: path },
        'waits for the process to take it into the log, of which it is no part yet',
      );
    else found.push({ ...file, path });
  }
  for (const { path, byte, kind, message } of source.oddities)
    faults.find(kind, byte === undefined ? { file: path } : { file: path, byte }, message);
  const all = <K extends LogFile['kind']>(kind: K): readonly Kind<K>[] =>
    found.filter((file): file is Kind<K> => file.kind === kind);
  const copies = all('copy');
  return {
    bundles: bundlesOf(all('bundle'), all('open'), copies, faults),
    copies,
    tiles: all('tile'),
    bodies: new Map(all('bodies').map(({ index, path }) => [index, path])),
    notes: [...all('cosigned'), ...all('witness')],
  };
}

function bundlesOf(
  full: readonly Kind<'bundle'>[],
  open: readonly Kind<'open'>[],
  copies: readonly Kind<'copy'>[],
  faults: Faults,
): readonly BundleFile[] {
  const files = new Map<number, BundleFile>(
    copies.toSorted((a, b) => a.width - b.width).map((copy) => [copy.index, copy]),
  );
  for (const file of open) files.set(file.index, file);
  for (const file of full) {
    if (files.get(file.index)?.kind === 'open')
      faults.find(
        'insertion',
        { file: openBundlePath(file.index) },
        'a bundle that still grows stands beside the full one',
      );
    files.set(file.index, file);
  }
  const bundles: BundleFile[] = [];
  for (const file of [...files.values()].toSorted((a, b) => a.index - b.index)) {
    if (file.index - bundles.length > GAP_LIMIT) {
      faults.find('insertion', { file: file.path }, 'the bundle is not connected to the others');
      continue;
    }
    const gap = bundles.length;
    while (bundles.length < file.index)
      bundles.push({
        index: bundles.length,
        path: tilePath('entries', bundles.length),
        kind: 'missing',
      });
    if (file.index > gap)
      faults.find(
        'omission',
        { file: tilePath('entries', gap), entry: gap * TILE_WIDTH },
        `${file.index - gap} bundles of entries are missing`,
      );
    bundles.push(file);
  }
  return bundles;
}
