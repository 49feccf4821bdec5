import { exported, EXPORT_FORMATS } from '@concordat/audit/export.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { entriesOf } from '../entries-of.ts';
import { writeFile } from '../write-out.ts';

export async function auditExport(log: string, { out }: { readonly out: string }): Promise<0 | 4> {
  const format = EXPORT_FORMATS.find((ending) => out.endsWith(`.${ending}`));
  if (format === undefined)
    throw new ConcordatError('usage/invalid', 'the name says in which format to write', {
      place: `--out ${out}`,
      remedy: 'let it end in .csv, .json or .ndjson',
    });
  const { entries, status } = entriesOf(log);
  await writeFile(out, exported(entries, format));
  return status();
}
