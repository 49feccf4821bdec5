/** Which files a log's folder may hold, and what each of them is. */
import { bodiesPath, openBundlePath, TILE_WIDTH, tilePath } from '@concordat/shared/log/tiles.ts';

export type LogFile =
  | { readonly kind: 'checkpoint' }
  /** A bundle of entries: full, growing, or the first `width` of one. */
  | { readonly kind: 'bundle'; readonly index: number }
  | { readonly kind: 'open'; readonly index: number }
  | { readonly kind: 'copy'; readonly index: number; readonly width: number }
  | { readonly kind: 'tile'; readonly level: number; readonly index: number; readonly width: number }
  | { readonly kind: 'bodies'; readonly index: number }
  /** A checkpoint that the peer of this name made or cosigned. */
  | { readonly kind: 'witness'; readonly peer: string }
  | { readonly kind: 'cosigned'; readonly peer: string }
  /** That a divergence of two logs is known, for the process to take in. */
  | { readonly kind: 'acknowledgement' }
  /** What a process leaves that dies while it replaces a file. */
  | { readonly kind: 'leftover' }
  /** What an operating system puts into a folder that is looked at. */
  | { readonly kind: 'system' };

const NUMBER = String.raw`((?:x\d{3}/){0,4})(\d{3})`;
const TILE = new RegExp(
  String.raw`^tile/(entries|0|[1-9])/${NUMBER}(?:\.(open)|\.p/([1-9]\d{0,2}))?(\.tmp)?$`,
);
const BODIES = new RegExp(String.raw`^bodies/${NUMBER}$`);
const NOTES = /^(witness|cosigned)\/([A-Za-z0-9%._~!*'()-]+?)(\.tmp)?$/;

const ACKNOWLEDGEMENT = /^acknowledgements\/[A-Za-z0-9%._~!*'()-]+\.json(\.part)?$/;

const SYSTEM = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]+)$/;

/** Null where a log has no such file. */
export function logFile(path: string): LogFile | null {
  if (path === 'checkpoint') return { kind: 'checkpoint' };
  if (path === 'checkpoint.tmp') return { kind: 'leftover' };
  if (SYSTEM.test(path)) return { kind: 'system' };
  const [acknowledgement, part] = ACKNOWLEDGEMENT.exec(path) ?? [];
  if (acknowledgement !== undefined)
    return part === undefined ? { kind: 'acknowledgement' } : { kind: 'leftover' };
  const [, bodyFolders, bodyNumber] = BODIES.exec(path) ?? [];
  if (bodyFolders !== undefined && bodyNumber !== undefined) {
    const index = numberOf(bodyFolders, bodyNumber);
    return bodiesPath(index) === path ? { kind: 'bodies', index } : null;
  }
  const [, folder, encoded, temporaryNote] = NOTES.exec(path) ?? [];
  if (encoded !== undefined) {
    if (temporaryNote !== undefined) return { kind: 'leftover' };
    const peer = decoded(encoded);
    return peer === null ? null : { kind: folder === 'witness' ? 'witness' : 'cosigned', peer };
  }
  const [, level, folders, number, open, digits, temporary] = TILE.exec(path) ?? [];
  if (level === undefined || folders === undefined || number === undefined) return null;
  if (temporary !== undefined) return { kind: 'leftover' };
  const index = numberOf(folders, number);
  const width = digits === undefined ? TILE_WIDTH : Number(digits);
  if (open !== undefined)
    return level === 'entries' && openBundlePath(index) === path ? { kind: 'open', index } : null;
  if (width > TILE_WIDTH || (digits !== undefined && width === TILE_WIDTH)) return null;
  if (tilePath(level === 'entries' ? level : Number(level), index, width) !== path) return null;
  if (level !== 'entries') return { kind: 'tile', level: Number(level), index, width };
  return width === TILE_WIDTH ? { kind: 'bundle', index } : { kind: 'copy', index, width };
}

const FOLDER = new RegExp(
  String.raw`^(bodies|witness|cosigned|acknowledgements|tile|tile/(entries|\d)|(tile/(entries|\d)|bodies)/(x\d{3}/){0,3}x\d{3}|tile/(entries|\d)/(x\d{3}/){0,4}\d{3}\.p)$`,
);

/** Whether a folder of this path may be part of a log. */
export function mayHold(path: string): boolean {
  return FOLDER.test(path);
}

function numberOf(folders: string, last: string): number {
  return Number(folders.replaceAll(/[x/]/g, '') + last);
}

/** Of what `encodeURIComponent` has written. */
function decoded(text: string): string | null {
  try {
    const name = decodeURIComponent(text);
    return encodeURIComponent(name) === text ? name : null;
  } catch {
    return null;
  }
}
