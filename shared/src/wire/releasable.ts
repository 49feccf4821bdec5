/**
 * Default deny at the level of fields: a message may leave a site only if every field that is set in it
 * carries the `(concordat.v1.releasable)` annotation in the .proto files.
 */
import { releasableFields, type ReleasableField } from '@concordat/proto/releasable.ts';

import { ConcordatError } from '../errors.ts';

type Table = Readonly<Record<string, Readonly<Record<string, ReleasableField>>>>;

/** Throws wire/not-releasable naming the first field that is set and not annotated. */
export function assertReleasable(
  messageName: string,
  message: object,
  table: Table = releasableFields,
): void {
  const fields = table[messageName];
  if (fields === undefined) throw refused(messageName);
  for (const [key, value] of Object.entries(message)) {
    if (isOneof(value)) {
      const field = fields[value.$case];
      if (field?.oneof !== key) throw refused(`${messageName}.${value.$case}`);
      checkField(`${messageName}.${value.$case}`, field, value.value, table);
    } else if (isSet(value)) {
      checkField(`${messageName}.${key}`, fields[key], value, table);
    }
  }
}

function checkField(path: string, field: ReleasableField | undefined, value: unknown, table: Table): void {
  if (field?.releasable !== true) throw refused(path);
  if (field.message === undefined) return;
  for (const item of Array.isArray(value) ? value : [value])
    assertReleasable(field.message, item as object, table);
}

function isOneof(value: unknown): value is { $case: string; value: unknown } {
  return typeof value === 'object' && value !== null && '$case' in value;
}

function isSet(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== 0 && value !== '' && value !== false;
}

function refused(path: string): ConcordatError {
  return new ConcordatError(
    'wire/not-releasable',
    `${path} is not annotated as releasable, so it does not leave the site`,
    {
      place: path,
      remedy: 'this is a defect of the software, not of the data: report it',
    },
  );
}
