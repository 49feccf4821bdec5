/**
 * A log in a tar file (POSIX ustar, with pax records for long names), all of it under one folder. The headers are read once into an index;
 * what is not as it is written there ends the reading, so that no byte is passed over.
 */
import { basename, dirname } from 'node:path';

import { mayHold } from './layout.ts';
import { FileReader, type LogSource, type Oddity } from './log-source.ts';

const BLOCK = 512;
/** Longer than the names of any log. */
const PAX_LIMIT = 1 << 16;
/** Other programs fill their last record with zeros; none needs more. */
const END_LIMIT = 1 << 20;

interface Member {
  readonly at: number;
  readonly size: number;
}

export function openTar(file: string): LogSource {
  const reader = new FileReader(dirname(file));
  const name = basename(file);
  const members = new Map<string, Member>();
  const folders = new Set<string>();
  const oddities: Oddity[] = [];
  const end = reader.size(name);
  const readAt = (at: number, length: number): Uint8Array | null => {
    const bytes = new Uint8Array(length);
    return reader.read(name, at, bytes) === length ? bytes : null;
  };
  const broken = (at: number, message: string, kind: Oddity['kind'] = 'malformed'): void =>
    void oddities.push({ path: name, byte: at, kind, message });

  let top: string | null = null;
  let longName: string | null = null;
  let at = 0;
  for (;;) {
    const header = readAt(at, BLOCK);
    if (header === null) {
      broken(at, 'the bundle ends before its end is marked', 'truncation');
      break;
    }
    if (header.every((byte) => byte === 0)) {
      checkEnd(at);
      break;
    }
    const member = readHeader(header);
    if (member === null) {
      broken(at, 'what should be the header of a file is none');
      break;
    }
    const { type, size } = member;
    const data = at + BLOCK;
    const next = data + Math.ceil(size / BLOCK) * BLOCK;
    if (next > end) {
      broken(end, 'the bundle ends in the middle of a file', 'truncation');
      break;
    }
    const padding = readAt(data + size, next - data - size);
    if (padding?.some((byte) => byte !== 0)) broken(data + size, 'there are bytes between two files');
    if (type === 'x') {
      longName = size > PAX_LIMIT ? null : paxPath(readAt(data, size) ?? new Uint8Array(0));
      if (longName === null) {
        broken(at, 'a long name cannot be read');
        break;
      }
    } else {
      take(longName ?? member.name, type, { at: data, size }, at);
      longName = null;
    }
    at = next;
  }

  function take(path: string, type: string, member: Member, header: number): void {
    const [folder = '', ...rest] = path.replace(/\/$/, '').split('/');
    const inside = rest.join('/');
    top ??= folder;
    if (type === '5' && member.size > 0) broken(header, `the folder “${path}” holds bytes of its own`);
    if (folder !== top || (type !== '0' && type !== '5') || rest.some((part) => part === '..' || part === ''))
      broken(header, `“${path}” can be no part of a log`);
    else if (inside === '' && type === '5') return;
    else if (type === '5' && mayHold(inside)) folders.add(inside);
    else if (type === '5')
      oddities.push({ path: inside, byte: header, kind: 'insertion', message: 'a log has no such folder' });
    else if (members.has(inside))
      oddities.push({
        path: inside,
        byte: header,
        kind: 'insertion',
        message: 'the bundle holds this file twice',
      });
    else {
      members.set(inside, member);
      const parts = inside.split('/').slice(0, -1);
      parts.forEach((_, i) => folders.add(parts.slice(0, i + 1).join('/')));
    }
  }

  /** Two blocks of zeros, and nothing but zeros behind them. */
  function checkEnd(from: number): void {
    if (end - from < 2 * BLOCK) broken(end, 'the bundle ends before its end is marked', 'truncation');
    const rest = end - from > END_LIMIT ? null : readAt(from, end - from);
    if (rest === null || rest.some((byte) => byte !== 0))
      broken(from, 'there are bytes behind the end of the bundle', 'insertion');
  }

  return {
    files: new Map([...members].map(([path, { size }]) => [path, size])),
    folders,
    oddities,
    read: (path, from, into) => {
      const member = members.get(path);
      if (member === undefined) return 0;
      const length = Math.max(0, Math.min(into.length, member.size - from));
      return reader.read(name, member.at + from, into.subarray(0, length));
    },
    close: () => reader.close(),
  };
}

/** As POSIX has it, or the other way round, as many programs do. */
const CHECKSUM = /^([0-7]{6})(?:\0 | \0)$/;

function readHeader(header: Uint8Array): { name: string; type: string; size: number } | null {
  const text = Buffer.from(header.buffer, header.byteOffset, header.length);
  const field = (at: number, length: number): string =>
    text
      .subarray(at, at + length)
      .toString('utf8')
      .replace(/\0.*$/s, '');
  const octal = (at: number, length: number): number | null => {
    const digits = field(at, length).trim();
    return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : null;
  };
  let sum = 0;
  header.forEach((byte, i) => (sum += i >= 148 && i < 156 ? 32 : byte));
  const size = octal(124, 12);
  const [, told] = CHECKSUM.exec(text.subarray(148, 156).toString('latin1')) ?? [];
  if (size === null || Number.parseInt(told ?? '', 8) !== sum || field(257, 5) !== 'ustar') return null;
  const prefix = field(345, 155);
  return {
    name: prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`,
    type: field(156, 1) || '0',
    size,
  };
}

/** The name in a pax header: records of `length key=value\n`. */
function paxPath(bytes: Uint8Array): string | null {
  let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  while (rest.length > 0) {
    const [, digits] = /^([1-9]\d{0,5}) /.exec(rest.subarray(0, 8).toString('latin1')) ?? [];
    const length = Number(digits);
    if (digits === undefined || length > rest.length) return null;
    const record = rest.subarray(digits.length + 1, length).toString('utf8');
    if (record.startsWith('path=') && record.endsWith('\n')) return record.slice('path='.length, -1);
    rest = rest.subarray(length);
  }
  return null;
}
