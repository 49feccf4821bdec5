import { givenLog } from '@concordat/audit/given-log.ts';
import { openLog } from '@concordat/audit/open-log.ts';
import { timelinePage, timelinePicture } from '@concordat/audit/timeline-html.ts';
import { TimelineParts } from '@concordat/audit/timeline.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { entriesOf } from '../entries-of.ts';
import { writeFile } from '../write-out.ts';

export async function auditTimeline(
  logs: readonly string[],
  { out }: { readonly out: string },
): Promise<0 | 4> {
  const draw = out.endsWith('.svg') ? timelinePicture : out.endsWith('.html') ? timelinePage : null;
  if (draw === null)
    throw new ConcordatError('usage/invalid', 'the name says in which format to write', {
      place: `--out ${out}`,
      remedy: 'let it end in .svg or .html',
    });
  const parts = new TimelineParts();
  let worst: 0 | 4 = 0;
  for (const path of logs) {
    const given = givenLog(openLog(path));
    if (given === null)
      throw new ConcordatError('usage/invalid', 'nothing in it says whose log this is', { place: path });
    const { entries, status } = entriesOf(path);
    for (const { entry } of entries) parts.take(given.owner.party, entry);
    if (status() === 4) worst = 4;
  }
  await writeFile(out, [draw(parts.timeline())]);
  return worst;
}
