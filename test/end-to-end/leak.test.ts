/**
 * Sentinel values planted in records, in every column and in every way that records can be broken, must not be found in
 * anything that leaves an agent, in anything that the coordinator holds or prints, or in what an agent prints.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { entriesOf, Federation, newFolder, resultOf, trial } from './federation.ts';

/** In a column that the plan uses, in one that it does not, and one whose double is no other number's. */
const NUMBERS = [73519.25, 91827364.5, 60210.125, 8.675309e-5];
const WORDS = ['Qzxvanderplank', 'zq-sentinel-4417', 'Ünterfjörd-ß-9'];

/** `pid` and `note` are not in the plan. */
const PLAN = `plan: 1
id: leak
population: age > 0
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: binary, variable: died}
minimum_studies: 2
analyses:
  - {id: effect, approach: two-stage, model: {family: binomial, adjust: [age]}}
  - {id: by-centre, approach: two-stage, model: {family: binomial, adjust: [factor(centre)]}}
  - {id: mixed, approach: one-stage, model: {family: binomial, adjust: [age], intercept: random}}
  - {id: stratified, approach: one-stage, model: {family: binomial, adjust: [factor(centre)]}}
`;

const HEADER = 'pid,arm,age,centre,died,note';
/** Records with a sentinel in every column: row 5 is of an arm that is not the plan's, as are four others (the count of fewer would be refused), row 7 of a level that is its own. */
const rows = trial('leak')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line, i) => {
    const [arm, age, centre] = line.split(',');
    const died = i % 3 === 0 || i % 7 === 0 ? 1 : 0;
    return [
      `${NUMBERS[1]}`,
      i % 10 === 5 && i < 50 ? '2' : arm!,
      i === 5 ? `${NUMBERS[2]}` : age!,
      i === 7 ? WORDS[1]! : centre!,
      `${died}`,
      WORDS[0]!,
    ];
  });
const file = (cells: readonly (readonly string[])[], header = HEADER): string =>
  `${header}\n${cells.map((row) => row.join(',')).join('\n')}\n`;
const changed = (column: number, value: string): string[][] =>
  rows.map((row, i) => (i === 9 ? row.with(column, value) : [...row]));

const HEALTHY: readonly string[] = ['A', 'B'];
const RECORDS: Readonly<Record<string, string | Buffer>> = {
  A: file(rows),
  B: file(rows.map((row, i) => row.with(4, i % 3 === 1 || i % 5 === 0 ? '1' : '0'))),
  'text-in-number': file(changed(2, WORDS[2]!)),
  'text-in-outcome': file(changed(4, WORDS[0]!)),
  'text-in-arm': file(changed(1, WORDS[0]!)),
  'impossible-outcome': file(changed(4, `${NUMBERS[0]}`)),
  outlier: file(changed(2, `${NUMBERS[0]}`)),
  'tiny-number': file(changed(2, `${NUMBERS[3]}`)),
  'missing-column': file(rows, `pid,arm,age,centre,${WORDS[0]},note`),
  'same-column-twice': file(rows, `pid,arm,age,centre,${WORDS[0]},${WORDS[0]}`),
  ragged: `${file(rows)}${NUMBERS[0]},${WORDS[0]}\n`,
  'open-quote': `${file(rows)}1,0,50,north,0,"${WORDS[0]}\n${NUMBERS[0]}`,
  'not-utf-8': Buffer.concat([Buffer.from(file(rows)), Buffer.from(`1,1,50,${WORDS[2]},0,x\n`, 'latin1')]),
  'utf-16': Buffer.from(`\uFEFF${file(rows)}`, 'utf16le'),
  empty: '',
  'header-only': `${WORDS[0]},${WORDS[1]}\n`,
  free: file(rows.map((row, i) => row.with(3, `${WORDS[0]} lives in street ${i}`))),
};

/** Every form in which a number or a word can stand in bytes. */
function encodings(): ReadonlyMap<string, Buffer> {
  const forms = new Map<string, Buffer>();
  for (const word of WORDS) {
    forms.set(`${word} as UTF-8`, Buffer.from(word));
    forms.set(`${word} as UTF-16`, Buffer.from(word, 'utf16le'));
    forms.set(`${word} as Latin 1`, Buffer.from(word, 'latin1'));
    forms.set(`${word} in base64`, Buffer.from(Buffer.from(word).toString('base64').slice(0, 16)));
    forms.set(`${word} in hex`, Buffer.from(Buffer.from(word).toString('hex')));
    forms.set(`${word} as JSON escapes it`, Buffer.from(encodeURIComponent(word)));
  }
  for (const number of NUMBERS) {
    for (const text of new Set([`${number}`, number.toExponential(), `${number}`.replace('.', ',')])) {
      forms.set(`${number} as text ${text}`, Buffer.from(text));
    }
    const [double, swapped, single, singleSwapped] = [8, 8, 4, 4].map((size) => Buffer.alloc(size));
    double!.writeDoubleLE(number);
    swapped!.writeDoubleBE(number);
    single!.writeFloatLE(number);
    singleSwapped!.writeFloatBE(number);
    forms.set(`${number} as a double`, double!);
    forms.set(`${number} as a double, big-endian`, swapped!);
    forms.set(`${number} as a float`, single!);
    forms.set(`${number} as a float, big-endian`, singleSwapped!);
    if (number > 1) forms.set(`${number} truncated, as a varint`, varint(Math.trunc(number)));
  }
  return forms;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest >= 128 ? (rest % 128) + 128 : rest);
    if (rest < 128) return Buffer.from(bytes);
  }
}

const FORMS = encodings();
/** Short forms occur by chance among many random bytes: keys, digests and salts are left out of what is searched for them. */
function assertClean(bytes: Buffer, where: string): void {
  for (const [form, needle] of FORMS) {
    if (needle.length >= 5 || where.startsWith('message'))
      assert.ok(!bytes.includes(needle), `${form} in ${where}`);
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

test('the scanner finds each form where it is', () => {
  for (const needle of FORMS.values()) {
    assert.throws(() =>
      assertClean(Buffer.concat([Buffer.from('before'), needle, Buffer.from('after')]), 'message'),
    );
  }
});

test('no planted value leaves a site, whatever is wrong with its records', async () => {
  const data = newFolder();
  mkdirSync(data, { recursive: true });
  const studies = Object.keys(RECORDS);
  for (const study of studies) writeFileSync(join(data, `${study}.csv`), RECORDS[study]!);
  const federation = await Federation.make(
    Object.fromEntries(studies.map((study) => [study, join(data, `${study}.csv`)])),
    PLAN,
  );
  const agents = federation.agents(studies);
  const coordinator = federation.coordinator();
  const status = await coordinator.exit;
  await agents.kill('SIGTERM');
  assert.ok(status === 0 || status === 3, coordinator.output);

  const { analyses, run } = resultOf(federation.path('out'));
  for (const site of run.sites.filter(({ study }) => HEALTHY.includes(study))) {
    assert.equal(site.status, 'answered', JSON.stringify(site));
  }
  assert.equal(analyses['effect']?.status, 'done');
  assert.equal(analyses['mixed']?.status, 'done', JSON.stringify(analyses['mixed']));
  const reasons = new Set(
    Object.values(analyses).flatMap(({ studies: all }) => all.map(({ reason }) => reason?.code ?? 'none')),
  );
  for (const code of [
    'leverage',
    'data/not-numeric',
    'data/impossible-code',
    'data/missing-column',
    'data/malformed',
    'data/encoding',
    'data/empty',
  ]) {
    assert.ok(reasons.has(code), `${code} was provoked: ${[...reasons].join(' ')}`);
  }

  // What left: the exact bytes of every message, signature and key aside, which are random to the eye.
  const sent = new Set<string | undefined>();
  for (const study of studies) {
    for (const { kind, type, message } of entriesOf(federation.log(study))) {
      if (kind !== 'sent' || message === null) continue;
      sent.add(type);
      assertClean(Buffer.from(message.body), `message of ${study}`);
    }
  }
  for (const type of ['stageOneEstimate', 'oneStageEntry', 'objectiveValue', 'refusal', 'dataProblem'])
    assert.ok(sent.has(type), `${type} was sent`);
  assertClean(Buffer.from(agents.output), 'what the agents printed');
  assertClean(Buffer.from(coordinator.output), 'what the coordinator printed');
  for (const path of [...filesBelow(federation.path('out')), ...filesBelow(federation.log('coordinator'))]) {
    assertClean(readFileSync(path), path);
  }
  for (const name of readdirSync(federation.folder).filter((entry) => entry.startsWith('journal'))) {
    assertClean(readFileSync(federation.path(name)), name);
  }
  for (const study of studies)
    for (const path of filesBelow(join(federation.log(study), 'tile'))) assertClean(readFileSync(path), path);
});
