/** Sites' logs without the coordinator's, which alone says whose answers counted: honest runs give no findings, changed results do. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { openLog } from '@concordat/audit/open-log.ts';
import { auditLog } from '@concordat/audit/read-log.ts';
import { readMessage } from '@concordat/audit/logged-message.ts';
import { recompute } from '@concordat/audit/recompute.ts';
import { Transcripts } from '@concordat/audit/transcripts.ts';
import { originOf } from '@concordat/audit/keys.ts';
import type { Verdict } from '@concordat/audit/verify.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';

import { PLAN, newFolder, writeTrials } from '../end-to-end/federation.ts';
import { InProcess } from '../end-to-end/in-process.ts';
import { forge, itemsOf } from './forge.ts';
import { audited, told } from './logs.ts';

const STUDIES = ['A', 'B', 'C'];
const data = newFolder();
writeTrials(data, STUDIES);
const federation = new InProcess({
  plan: PLAN,
  data: Object.fromEntries(STUDIES.map((study) => [study, `${data}/${study}.csv`])),
});
let published = '';
before(async () => void (published = federation.publish(await federation.play())));

/** The result of the same run, had the coordinator waited in vain for what A estimated. */
function resultWithoutEstimatesOfA(): string {
  const silent = { find: () => undefined, note: () => undefined };
  const owner = { party: 'coordinator', origin: originOf('coordinator') };
  const transcripts = new Transcripts();
  for (const entry of auditLog(openLog(federation.log('coordinator')), new Map(), silent)) {
    const transcript = transcripts.take(owner, entry, readMessage(entry, owner, silent))?.whole();
    if (transcript == null) continue;
    const tasks = transcript.tasks
      .filter(({ study, message }) => study !== 'A' || message.payload?.$case !== 'runClosed')
      .map((task) =>
        task.study === 'A' && task.analysis !== ''
          ? { ...task, answer: { kind: 'unreachable' as const } }
          : task,
      );
    const { result } = recompute({ ...transcript, tasks }, JSON.parse(published) as Result);
    return `${JSON.stringify(result, null, 2)}\n`;
  }
  throw new Error('the run has no result');
}

function verified(cut: (type: string | undefined) => boolean, text: string): Verdict {
  const items = itemsOf(federation.log('A'));
  const end = items.findIndex(({ entry }) => cut(entry.type));
  const A = forge('A', end < 0 ? items : items.slice(0, end), federation.identity('A'));
  return audited(
    { A, B: federation.log('B'), C: federation.log('C') },
    { result: { name: 'result.json', text } },
  );
}

test('a site that was given up while its answers were under way', () => {
  const verdict = verified((type) => type === 'runClosed', resultWithoutEstimatesOfA());
  assert.deepEqual(told(verdict), []);
  assert.match(verdict.runs[0]!.notReplayed ?? '', /A may have been given up/);
});

test('a site that does not hear of the end, and whose answers counted', () => {
  const verdict = verified((type) => type === 'runClosed', published);
  assert.deepEqual(told(verdict), []);
  assert.equal(verdict.runs[0]!.reproduced, true);
});

test('a site whose log begins again before the run', () => {
  const verdict = verified((type) => type === 'planOffer', published);
  assert.deepEqual(told(verdict), []);
  assert.match(verdict.runs[0]!.notReplayed ?? '', /A may have been given up/);
  assert.ok(verdict.notes.some(({ message }) => /not in the log of A/.test(message)));
});

test('a number that was changed, where every site heard of the end', () => {
  const changed = published.replace(
    /"estimate": (-?[\d.]+)/,
    (_, number) => `"estimate": ${Number(number) + 1}`,
  );
  const verdict = verified(() => false, changed);
  assert.deepEqual([...new Set(verdict.findings.map(({ kind }) => kind))], ['result']);
  assert.equal(verdict.runs[0]!.reproduced, false);
});
