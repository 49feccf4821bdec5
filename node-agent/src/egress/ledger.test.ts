import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import fc from 'fast-check';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { crossedId, type Crossed } from '../data/crossed.ts';
import type { Members } from '../data/members.ts';
import { newFolder } from '../testing.ts';
import { Ledger } from './ledger.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const bitmap = (rows: number, chosen: readonly number[]): Uint32Array => {
  const words = new Uint32Array(Math.ceil(rows / 32));
  for (const row of chosen) words[row >>> 5]! |= 1 << (row & 31);
  return words;
};

/** `people`: what each row of the file holds, as a number; `chosen`: rows. */
function members(
  people: readonly number[],
  chosen: readonly number[],
  more: Partial<Members> & { readonly within?: readonly number[] } = {},
): Members {
  const { within = range(0, people.length), ...rest } = more;
  return {
    snapshot: `file-${people.length}-${people.reduce((sum, p, i) => (sum * 31 + p * (i + 7)) % 1e9, 0)}`,
    rows: people.length,
    keys: Uint32Array.from(people.flatMap((p) => [Math.imul(p, 0x9e3779b1) >>> 0, p])),
    subjects: null,
    population: bitmap(people.length, within),
    analysis: bitmap(people.length, chosen),
    ...rest,
  };
}

const PEOPLE = range(0, 100);
const check = (ledger: Ledger, of: Members) =>
  ledger.checkMembers(of, DEFAULT_POLICY).map(({ code, observed, of: what }) => [code, observed, what]);
const ANALYSIS_BY = (n: number) => [['RULE_DIFFERENCING', n, 'the analysis set']];

test('a set that differs from an answered one by 1 … 9 participants is refused, by 0 or 10 not; also after a restart', () => {
  const folder = newFolder();
  const first = new Ledger(folder);
  assert.deepEqual(check(first, members(PEOPLE, range(0, 100))), []);
  first.record(members(PEOPLE, range(0, 100)), null);
  for (const ledger of [first, new Ledger(folder)]) {
    assert.deepEqual(check(ledger, members(PEOPLE, range(0, 99))), ANALYSIS_BY(1));
    assert.deepEqual(check(ledger, members(PEOPLE, range(9, 100))), ANALYSIS_BY(9));
    assert.deepEqual(check(ledger, members(PEOPLE, range(10, 100))), []);
    assert.deepEqual(check(ledger, members(PEOPLE, range(0, 100))), []);
  }
});

test('earlier answers are told as rows of the file as it is now, also after a restart', () => {
  const folder = newFolder();
  const crossed: Crossed = {
    variables: ['y', 'x'],
    treatment: null,
    time: null,
    columns: [[], [{ variable: 'x' }], [{ variable: 'y' }]],
    times: [7],
  };
  const answered = members(PEOPLE, range(0, 40));
  const first = new Ledger(folder);
  assert.deepEqual(first.answered(null), { snapshot: null, sets: [] });
  first.record(answered, null, crossed);
  const id = crossedId(crossed, answered);
  for (const ledger of [first, new Ledger(folder)]) {
    assert.deepEqual(ledger.answered(null), {
      snapshot: answered.snapshot,
      sets: [{ id, crossed, rows: answered.analysis }],
    });
    // The first ten went, the others came in another order.
    const now = members(PEOPLE.slice(10).toReversed(), range(0, 90));
    assert.deepEqual(ledger.answered(now).sets, [{ id, crossed, rows: bitmap(90, range(60, 90)) }]);
    assert.ok(ledger.has(id));
    assert.ok(ledger.coversAnswered(now, { crossed, against: [id] }));
    assert.ok(!ledger.coversAnswered(now, { crossed, against: [] }));
    assert.ok(ledger.coversAnswered(answered, { crossed, against: [] }));
  }
});

test('the population counts as a set of its own', () => {
  const ledger = new Ledger(newFolder());
  ledger.record(members(PEOPLE, range(0, 50)), null);
  const narrower = members(PEOPLE, range(0, 50), { within: range(0, 97) });
  assert.deepEqual(check(ledger, narrower), [['RULE_DIFFERENCING', 3, 'the plan’s population']]);
});

test('what was checked but not answered is not held against anything', () => {
  const ledger = new Ledger(newFolder());
  check(ledger, members(PEOPLE, range(0, 100)));
  assert.deepEqual(check(ledger, members(PEOPLE, range(0, 99))), []);
});

test('a file in which a few rows came, went or changed, in whatever order, is caught by its rows’ content', () => {
  const folder = newFolder();
  const before = new Ledger(folder);
  before.record(members(PEOPLE, range(0, 100)), null);
  const cases: readonly (readonly [readonly number[], number])[] = [
    [PEOPLE.slice(1).toReversed(), 1],
    [[...PEOPLE, 100, 101], 2],
    // A change is a row that went and one that came.
    [PEOPLE.with(3, 500), 2],
    [PEOPLE.toReversed(), 0],
  ];
  for (const [people, count] of cases) {
    const ledger = new Ledger(folder);
    const all = members(people, range(0, people.length));
    assert.deepEqual(
      ledger.checkMembers(all, DEFAULT_POLICY).map(({ observed }) => observed),
      count === 0 ? [] : [count],
      `${count}`,
    );
  }
  const updated = [...PEOPLE, ...range(200, 230)];
  before.record(members(updated, range(0, 130)), null);
  const after = new Ledger(folder);
  assert.deepEqual(check(after, members(updated, range(0, 129))), ANALYSIS_BY(1));
  assert.deepEqual(check(after, members(PEOPLE, range(0, 97), { within: range(0, 100) })), ANALYSIS_BY(3));
});

test('participants of several rows are counted once, also those of an earlier file', () => {
  const rows = range(0, 120);
  const subjects = (of: readonly number[]) => ({
    variable: 'id',
    keys: Uint32Array.from(of.flatMap((row) => [Math.floor(row / 3), 1])),
  });
  const folder = newFolder();
  new Ledger(folder).record(members(rows, rows, { subjects: subjects(rows) }), null);
  const ledger = new Ledger(folder);
  // 12 rows are 4 participants.
  const fewer = members(rows, range(12, 120), { subjects: subjects(rows) });
  assert.deepEqual(check(ledger, fewer), ANALYSIS_BY(4));
  const shorter = rows.slice(15);
  const gone = members(shorter, range(0, 105), { subjects: subjects(shorter) });
  assert.deepEqual(
    ledger.checkMembers(gone, DEFAULT_POLICY).map(({ observed }) => observed),
    [5],
  );
});

test('questions are counted over runs and restarts; one that was answered costs nothing', () => {
  const folder = newFolder();
  const policy = { ...DEFAULT_POLICY, total_evaluations: 2 };
  const of = members(PEOPLE, PEOPLE);
  const ledger = new Ledger(folder);
  ledger.record(of, 'a');
  ledger.record(of, 'a');
  assert.deepEqual(ledger.checkQuestion(of, 'b', policy), []);
  ledger.record(of, 'b');
  for (const again of [ledger, new Ledger(folder)]) {
    assert.deepEqual(again.checkQuestion(of, 'a', policy), []);
    assert.deepEqual(
      again
        .checkQuestion(of, 'c', policy)
        .map(({ code, threshold, observed }) => [code, threshold, observed]),
      [['RULE_BUDGET', 2, 3]],
    );
  }
});

test('what is recorded again is not written again; keys stay, and are readable by their owner alone', () => {
  const folder = newFolder();
  const ledger = new Ledger(folder);
  ledger.record(members(PEOPLE, range(0, 100)), 'a');
  const written = readFileSync(join(folder, 'entries.jsonl'), 'utf8');
  ledger.record(members(PEOPLE, range(0, 100)), 'a');
  new Ledger(folder).record(members(PEOPLE, range(0, 100), { keys: null }), 'a');
  assert.equal(readFileSync(join(folder, 'entries.jsonl'), 'utf8'), written);
  assert.deepEqual(new Ledger(folder).secret, ledger.secret);
  assert.equal(statSync(join(folder, 'key')).mode & 0o777, 0o600);
});

test('a line that a kill cut short is no entry; a set that is gone is a fault, not a fresh start', () => {
  const folder = newFolder();
  new Ledger(folder).record(members(PEOPLE, range(0, 100)), null);
  const entries = join(folder, 'entries.jsonl');
  const whole = readFileSync(entries, 'utf8');
  appendFileSync(entries, '{"question":"half');
  const ledger = new Ledger(folder);
  assert.equal(readFileSync(entries, 'utf8'), whole);
  assert.deepEqual(check(ledger, members(PEOPLE, range(0, 99))), ANALYSIS_BY(1));
  const corrupt = (error: unknown) => error instanceof ConcordatError && error.code === 'log/corrupt';
  const set = /"set":"([0-9a-f]+)"/.exec(whole)![1]!;
  rmSync(join(folder, `set-${set}`));
  assert.throws(() => new Ledger(folder), corrupt);
  writeFileSync(entries, 'not JSON\n');
  assert.throws(() => new Ledger(folder), corrupt);
});

test('rows that were never told apart cannot be held against what was answered', () => {
  const ledger = new Ledger(newFolder());
  assert.equal(ledger.checkMembers(members(PEOPLE, PEOPLE, { keys: null }), DEFAULT_POLICY).length, 1);
});

test('property: a ledger that was opened again decides as the one that was written', () => {
  const chosen = fc.uniqueArray(fc.nat({ max: 99 }), { minLength: 40, maxLength: 100 });
  const file = fc.constantFrom(PEOPLE, PEOPLE.toReversed(), [...PEOPLE.slice(2), ...range(300, 320)]);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(file, chosen), { minLength: 1, maxLength: 5 }),
      file,
      chosen,
      (asked, people, next) => {
        const folder = newFolder();
        const ledger = new Ledger(folder);
        for (const [of, rows] of asked) ledger.record(members(of, rows), null);
        const about = members(people, next);
        assert.deepEqual(check(new Ledger(folder), about), check(ledger, about));
      },
    ),
    { numRuns: 25 },
  );
});
