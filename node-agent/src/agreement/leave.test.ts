/** Which plans run without asking a custodian again. */
import assert from 'node:assert/strict';
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { newFolder, openLog, PLAN, STUDY, taskOf } from '../testing.ts';
import { kinds, offer, refusal, RUN, Site } from './hospital.ts';
import { TemplateFiles } from './template-files.ts';

const matching = { approval: 'matching-template', templates: ['template.yaml'] } as const;
const closed = (run: number) => taskOf({ $case: 'runClosed', value: {} }, { run: RUN(run) });

test('a plan that was refused is not let in by a template again, nor its questions under another name, until it is approved', async () => {
  const hospital = new Site(matching);
  const renamed = PLAN.replace('id: tiny', 'id: other');
  assert.deepEqual(kinds(await hospital.send(offer(1))), ['planAccepted']);
  assert.deepEqual(kinds(await hospital.say(refusal(1))), []);
  assert.deepEqual(await hospital.send(offer(2), offer(3, { plan: renamed })), []);
  hospital.restart();
  assert.deepEqual(await hospital.send(offer(2), offer(3, { plan: renamed })), []);
  assert.deepEqual(kinds(await hospital.say(hospital.approval({ run: toHex(RUN(2)) }))), [
    'planAccepted',
    'planAccepted',
  ]);
  assert.deepEqual(kinds(await hospital.send(offer(4, { plan: renamed }))), ['planAccepted']);
});

test('a larger roster that was answered meanwhile: an approval of a run before does not let in the smaller one', async () => {
  const two = { sites: [STUDY, 'B'], minimum: 2 };
  const three = { sites: [STUDY, 'B', 'C'], minimum: 2 };
  const hospital = new Site();
  await hospital.send(offer(1, two));
  await hospital.say(hospital.approval(two));
  assert.deepEqual(kinds(await hospital.send(offer(2, three))), ['planAccepted']);
  await hospital.send(closed(2));
  assert.deepEqual(await hospital.send(offer(3, two)), []);
  hospital.restart();
  assert.deepEqual(await hospital.send(offer(3, two)), []);
  const own = hospital.approval({ ...two, run: toHex(RUN(3)) });
  assert.deepEqual(kinds(await hospital.say(own)), ['planAccepted']);
});

test('the log names the text of the template that let a plan in', async () => {
  const hospital = new Site(matching);
  await hospital.send(offer(1));
  const approved = hospital.log.entries.find(({ kind }) => kind === 'approved');
  assert.equal(approved?.detail?.['template'], toHex(sha256(PLAN)));
});

test('a template is read again when its file changes, and each text is logged once', () => {
  const [folder, logFolder] = [newFolder(), newFolder()];
  const file = join(folder, 'template.yaml');
  const put = (text: string): void => {
    writeFileSync(file, text);
    // Whatever the resolution of the file system's times is.
    utimesSync(file, 1, text.length);
  };
  let log = openLog(logFolder);
  let templates = new TemplateFiles(folder, log);
  const digest = (): string | null => templates.at('template.yaml')?.digest ?? null;
  const other = `${PLAN}title: other\n`;
  put(PLAN);
  assert.deepEqual([digest(), digest()], [toHex(sha256(PLAN)), toHex(sha256(PLAN))]);
  put(other);
  assert.equal(digest(), toHex(sha256(other)));
  log.close();
  log = openLog(logFolder);
  templates = new TemplateFiles(folder, log);
  assert.equal(digest(), toHex(sha256(other)));
  put('no plan');
  assert.equal(digest(), null);
  rmSync(file);
  assert.equal(digest(), null);
  assert.deepEqual(
    log.entries.map(({ kind, detail }) => [kind, detail?.['template_file'], detail?.['template']]),
    [PLAN, other, 'no plan', null].map((text) => [
      'decision',
      'template.yaml',
      text === null ? '' : toHex(sha256(text)),
    ]),
  );
});
