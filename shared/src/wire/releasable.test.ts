import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { releasableFields } from '@concordat/proto/releasable.ts';
import { ConcordatError } from '../errors.ts';
import { assertReleasable } from './releasable.ts';

const TABLE = {
  Outer: {
    open: { releasable: true },
    shut: { releasable: false },
    inner: { releasable: true, message: 'Inner' },
    list: { releasable: true, message: 'Inner' },
    unlisted: { releasable: true, message: 'Absent' },
    choice: { releasable: true, message: 'Inner', oneof: 'payload' },
    barred: { releasable: false, message: 'Inner', oneof: 'payload' },
  },
  Inner: { open: { releasable: true }, shut: { releasable: false } },
};

function refused(message: object, place: string): void {
  assert.throws(
    () => assertReleasable('Outer', message, TABLE),
    (error: unknown) =>
      error instanceof ConcordatError && error.code === 'wire/not-releasable' && error.place === place,
  );
}

test('annotated fields may leave, and so may a field that is not set', () => {
  assertReleasable('Outer', { open: 1, inner: { open: 'x' }, list: [{ open: 2 }], shut: 0 }, TABLE);
  assertReleasable('Outer', { shut: '', inner: { shut: false } }, TABLE);
  assertReleasable(
    'Outer',
    { shut: new Uint8Array(0), payload: { $case: 'choice', value: { open: 1 } } },
    TABLE,
  );
});

test('a field without the annotation is refused, at any depth, whatever it holds', () => {
  for (const value of [1, -1, Number.NaN, 'x', true, [0], Uint8Array.of(0), {}])
    refused({ shut: value }, 'Outer.shut');
  refused({ inner: { shut: 1 } }, 'Inner.shut');
  refused({ list: [{ open: 1 }, { shut: 1 }] }, 'Inner.shut');
  refused({ payload: { $case: 'barred', value: {} } }, 'Outer.barred');
  refused({ payload: { $case: 'choice', value: { shut: 1 } } }, 'Inner.shut');
});

test('a field or message that the table does not list is refused', () => {
  refused({ invented: 1 }, 'Outer.invented');
  refused({ unlisted: { open: 1 } }, 'Absent');
  refused({ payload: { $case: 'invented', value: {} } }, 'Outer.invented');
  refused({ other: { $case: 'choice', value: {} } }, 'Outer.choice');
  assert.throws(() => assertReleasable('Absent', {}, TABLE));
});

test('every field of every message that a SiteMessage reaches is annotated', () => {
  const folder = join(import.meta.dirname, '../../../proto/concordat/v1');
  const declared = globSync('*.proto', { cwd: folder }).flatMap((file) =>
    messagesOf(readFileSync(join(folder, file), 'utf8')),
  );
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    const message = declared.find((candidate) => candidate.name === name);
    if (message === undefined) return;
    reached.add(name);
    for (const { field, type, annotated } of message.fields) {
      assert.ok(annotated, `${name}.${field}`);
      visit(type);
    }
  };
  visit('SiteMessage');
  assert.deepEqual([...reached].toSorted(), Object.keys(releasableFields).toSorted());
  for (const fields of Object.values(releasableFields))
    for (const field of Object.values(fields)) assert.ok(field.releasable);
});

test('the table knows the oneof of a decoded message', () => {
  const message = SiteMessage.decode(
    SiteMessage.encode({ header: undefined, payload: { $case: 'runLeft', value: {} } }).finish(),
  );
  assertReleasable('SiteMessage', message);
});

/** Messages and their fields, read from a .proto file's text: no generated code has a hand in it. */
function messagesOf(
  text: string,
): { name: string; fields: { field: string; type: string; annotated: boolean }[] }[] {
  return [...text.matchAll(/^message (\w+) \{(.*?\n)?\}/gms)].map(([, name = '', body = '']) => ({
    name,
    fields: [...body.matchAll(/^\s+(?:repeated )?(\w+) (\w+) = \d+(.*);/gm)].map(
      ([, type = '', field = '', rest = '']) => ({
        field,
        type,
        annotated: rest.includes('(releasable) = true'),
      }),
    ),
  }));
}
