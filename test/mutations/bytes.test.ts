/**
 * The logs and the result of a real run, of which anything at all was changed on a disk: bytes, entries, bodies, files, numbers. All of it is
 * found, and the first finding says what it is and where.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  audited as auditedLog,
  bodyMutations,
  entryMutations,
  filesOf,
  flips,
  missed,
  removals,
  sourceOf,
  truncations,
  type LogFiles,
  type Mutation,
} from '@concordat/audit/log-testing.ts';
import { originOf } from '@concordat/audit/keys.ts';
import { audited, told } from '../audit/logs.ts';
import { BINARY_PLAN } from '../end-to-end/trials.ts';
import { PARTIES, play } from './played.ts';

const run = await play(BINARY_PLAN);
const keys = new Map([...run.keys].map(([party, key]) => [originOf(party), key]));
const logs = new Map(PARTIES.map((party) => [party, filesOf(run.logs[party]!)]));
const result = { name: 'result.json', text: run.result };
const plan = { name: 'plan.yaml', text: run.plan };

/** Changes of single bits, in all logs together. */
const FLIPS = 12_000;
const bytes = [...logs.values()]
  .flatMap((files) => [...files.values()])
  .reduce((sum, { length }) => sum + length, 0);
const STEP = Math.max(1, Math.floor(bytes / FLIPS));

function assertFound(mutations: Iterable<Mutation>): number {
  let count = 0;
  const wrong: string[] = [];
  for (const mutation of mutations) {
    count++;
    const fault = missed(mutation, auditedLog(sourceOf(mutation.files), keys).findings);
    if (fault !== null) wrong.push(fault);
  }
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${count}`);
  return count;
}

const paths = (files: LogFiles, pattern: RegExp): readonly string[] =>
  [...files.keys()].filter((path) => pattern.test(path));

test('nothing is wrong with what nobody changed', () => {
  const verdict = audited(run.logs, { keys: run.keys, plan, result });
  assert.deepEqual(told(verdict), []);
  assert.deepEqual(
    verdict.runs.map(({ reproduced }) => reproduced),
    [true],
  );
});

let flipped = 0;
for (const [party, files] of logs) {
  test(`${party}: single bits, of every file and all along it`, () => {
    let n = 0;
    for (const path of files.keys()) flipped += assertFound(flips(files, path, [n++ % 8], STEP, n % STEP));
  });

  test(`${party}: entries left out, doubled, exchanged and put in`, () => {
    for (const path of paths(files, /^tile\/entries\/\d+(\.open)?$/))
      assertFound(entryMutations(files, path));
  });

  test(`${party}: bodies left out, doubled and exchanged`, () => {
    for (const path of paths(files, /^bodies\//)) assertFound(bodyMutations(files, path));
  });

  test(`${party}: files cut, and taken away`, () => {
    for (const path of files.keys()) assertFound(truncations(files, path, 20));
    assertFound(removals(files));
  });
}

test('that was at least ten thousand places', () => assert.ok(flipped >= 10_000, `${flipped}`));

/** Paths of the numbers in a value, as the audit names them, each with a function that changes it in place. */
function* numbersIn(
  value: unknown,
  path = '',
): Generator<{ readonly path: string; readonly change: () => () => void }> {
  if (typeof value !== 'object' || value === null) return;
  const holder = value as Record<string, unknown>;
  for (const [name, part] of Object.entries(holder)) {
    const at = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
    if (typeof part === 'number')
      yield {
        path: at,
        change: () => {
          // What has to be a whole number would not be read at all.
          holder[name] = Number.isInteger(part) ? part + 1 : nextAfter(part);
          return () => void (holder[name] = part);
        },
      };
    else yield* numbersIn(part, at);
  }
}

/** The double next to it: the smallest change that there is. */
function nextAfter(value: number): number {
  const bits = new BigInt64Array([0n]);
  const doubles = new Float64Array(bits.buffer);
  doubles[0] = value;
  bits[0]! += 1n;
  return doubles[0];
}

test('every number of the result, changed by as little as can be', () => {
  const document = JSON.parse(run.result) as { analyses: unknown };
  const wrong: string[] = [];
  let count = 0;
  for (const { path, change } of numbersIn(document.analyses, 'analyses')) {
    count++;
    const undo = change();
    const text = `${JSON.stringify(document, null, 2)}\n`;
    undo();
    const { findings } = audited(
      { coordinator: run.logs['coordinator']! },
      { keys: run.keys, result: { name: 'result.json', text } },
    );
    const named = findings.some(({ kind, place }) => kind === 'result' && place.field === path);
    if (findings[0]?.kind !== 'result' || !named)
      wrong.push(`${path}: ${JSON.stringify(findings.slice(0, 3))}`);
  }
  assert.ok(count > 100, `${count} numbers`);
  assert.deepEqual(wrong.slice(0, 3), [], `${wrong.length} of ${count}`);
});

test('another plan than the one that ran', () => {
  const verdict = audited(run.logs, {
    keys: run.keys,
    plan: { ...plan, text: plan.text.replace('id:', 'title: another\nid:') },
  });
  assert.equal(verdict.findings[0]?.kind, 'approval', told(verdict).join('\n'));
  assert.equal(verdict.findings[0].place.file, 'plan.yaml');
});
