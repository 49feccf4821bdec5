import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ConcordatError } from '../errors.ts';
import { evaluateExpression, formatExpression, parseExpression, variablesOf } from './expression.ts';
import type { Code, Expression } from './types.ts';

const parse = (text: string): Expression => parseExpression(text, 'plan.yaml population');

const truth = (text: string, row: Readonly<Record<string, Code | null>>): boolean | null =>
  evaluateExpression(parse(text), (variable) => row[variable] ?? null);

const fault = (text: string): ConcordatError => {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof ConcordatError, String(error));
    assert.equal(error.code, 'plan/expression');
    return error;
  }
  return assert.fail(`accepted: ${text}`);
};

test('the contract’s example is read as written', () => {
  assert.deepEqual(parse('age >= 18 and grade in ("1", "2")'), {
    op: 'and',
    terms: [
      { op: '>=', variable: 'age', value: 18 },
      { op: 'in', variable: 'grade', values: ['1', '2'] },
    ],
  });
});

test('`not` binds before `and`, `and` before `or`, and a literal on the left is mirrored', () => {
  assert.deepEqual(parse('not a == 1 and b < 2 or 3 <= c'), {
    op: 'or',
    terms: [
      {
        op: 'and',
        terms: [
          { op: 'not', term: { op: '==', variable: 'a', value: 1 } },
          { op: '<', variable: 'b', value: 2 },
        ],
      },
      { op: '>=', variable: 'c', value: 3 },
    ],
  });
  assert.deepEqual(parse("x not in (-1, 'it\\'s')"), {
    op: 'not',
    term: { op: 'in', variable: 'x', values: [-1, "it's"] },
  });
});

describe('evaluation', () => {
  test('codes match whether a column is numeric or text', () => {
    for (const code of [1, '1', '1.0', ' 1'])
      assert.equal(truth('grade in ("1","2")', { grade: code }), true);
    for (const code of [1, '1']) assert.equal(truth('grade in (1, 2)', { grade: code }), true);
    assert.equal(truth('grade in ("1","2")', { grade: 3 }), false);
    assert.equal(truth('sex == "male"', { sex: 'Male' }), false);
    assert.equal(truth('grade != "1"', { grade: 1 }), false);
  });

  test('a missing value is unknown, unless something else decides', () => {
    assert.equal(truth('age >= 18', { age: null }), null);
    assert.equal(truth('not age >= 18', { age: null }), null);
    assert.equal(truth('age >= 18 or sex == 1', { age: null, sex: 1 }), true);
    assert.equal(truth('age >= 18 and sex == 1', { age: null, sex: 0 }), false);
    assert.equal(truth('age >= 18 and sex == 1', { age: null, sex: 1 }), null);
    assert.equal(truth('age in (1)', { age: null }), null);
    assert.equal(truth('missing(age) and not missing(sex)', { age: null, sex: 1 }), true);
  });

  test('text that is no number has no order', () => {
    assert.equal(truth('age >= 18', { age: 'old' }), null);
    assert.equal(truth('age >= 18', { age: '19' }), true);
  });
});

test('variables are listed once, in order of use', () => {
  assert.deepEqual(variablesOf(parse('b == 1 and (a > 2 or not missing(b)) and c in (1)')), ['b', 'a', 'c']);
});

test('faults name the column, show a caret and say what to write', () => {
  const cases: readonly (readonly [string, number, RegExp, RegExp])[] = [
    ['age = 18', 5, /`=` cannot stand here/, /write `==`/],
    ['age >= 18 && sex == 1', 11, /`&` cannot/, /write `and`/],
    ['a == 1 || b == 1', 8, /`\|` cannot/, /write `or`/],
    ['!(a == 1)', 1, /`!` cannot/, /`not`/],
    ['18 <= age < 65', 11, /`<` does not belong/, /age >= 18 and age < 65/],
    ['age >=', 7, /value is missing before the end/, /number, or with text/],
    ['sex == male', 8, /value is missing before `male`/, /quotes/],
    ['age == NA', 8, /value is missing/, /missing\(x\)/],
    ['a == true', 6, /value is missing/, /1 or 0/],
    ['age', 4, /comparison is missing before the end/, /compare `age`/],
    ['floor(age) == 1', 6, /comparison is missing before `\(`/, /only function/],
    ['age + 1 > 2', 5, /`\+` cannot/, /arithmetic/],
    ['(a == 1', 8, /`\)` is missing before the end/, /close the bracket/],
    ['a == 1)', 7, /`\)` does not belong/, /join/],
    ['a in ("1" "2")', 11, /`\)` is missing before `"2"`/, /commas/],
    ['a in ()', 7, /value is missing before `\)`/, /quotes/],
    ['a in [1]', 6, /`\[` cannot/, /round brackets/],
    ['name == "x', 9, /`"` cannot/, /straight quote/],
    ['a == 1 AND b == 2', 8, /`AND` does not belong/, /`and`/],
    ['AND == 1', 1, /word of the language/, /lower case/],
    ['grade >= "2"', 10, /compares numbers/, /without quotes/],
    ['a == 1 and', 11, /variable is missing before the end/, /age >= 18/],
    ['a == 1 and or b == 1', 12, /variable is missing before `or`/, /condition/],
    ['', 1, /variable is missing before the end/, /age >= 18/],
    ['toString == 1', 1, /variable is missing/, /age >= 18/],
    ['age > 1e999', 7, /too large/, /finite/],
    ['"x" == "y"', 8, /variable is missing before `"y"`/, /age >= 18/],
  ];
  for (const [text, column, message, remedy] of cases) {
    const error = fault(text);
    const lines = error.message.split('\n');
    assert.match(lines[0]!, message, text);
    assert.ok(lines[0]!.endsWith(`(column ${column})`), `${text}: ${lines[0]}`);
    assert.equal(lines[2]!.indexOf('^'), 2 + column - 1, text);
    assert.match(error.remedy!, remedy, text);
    assert.equal(error.place, 'plan.yaml population');
  }
});

test('size and depth are capped', () => {
  fault(`${'('.repeat(5_000)}a == 1${')'.repeat(4_000)}`);
  fault('not '.repeat(2_000));
  fault(`a in (${'1,'.repeat(6_000)}1)`);
  parse(`${'('.repeat(40)}a == 1${')'.repeat(40)}`);
});

test('any text gives an expression or plan/expression, and nothing else', () => {
  const piece = fc.constantFrom(
    'a',
    'age',
    'and',
    'or',
    'not',
    'in',
    'missing',
    '(',
    ')',
    ',',
    '==',
    '<=',
    '1',
    '-2.5',
    '"x"',
    "'",
    '\\',
    '\n',
    'é',
    '𝒳',
    '‮',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 40 }).map((parts) => parts.join(' ')),
  );
  fc.assert(
    fc.property(text, (source) => {
      try {
        const expression = parse(source);
        assert.deepEqual(parse(formatExpression(expression)), expression);
      } catch (error) {
        assert.ok(error instanceof ConcordatError && error.code === 'plan/expression', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

const code: fc.Arbitrary<Code> = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  fc.string({ unit: fc.constantFrom('a', 'b', ' ', '"', "'", '\\', '(', 'é', '1') }),
);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const variable = fc.constantFrom('a', 'b', 'age_group', 'x.y', 'é');
const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({ op: fc.constantFrom('==' as const, '!=' as const), variable, value: code }),
    fc.record({
      op: fc.constantFrom('<' as const, '<=' as const, '>' as const, '>=' as const),
      variable,
      value: number,
    }),
    fc.record({
      op: fc.constant('in' as const),
      variable,
      values: fc.array(code, { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ op: fc.constant('missing' as const), variable }),
    fc.record({ op: fc.constant('not' as const), term: tie('tree') }),
    fc.record({
      op: fc.constantFrom('and' as const, 'or' as const),
      terms: fc.array(tie('tree'), { minLength: 2, maxLength: 3 }),
    }),
  ),
}));

test('parsing undoes formatting', () => {
  fc.assert(
    fc.property(tree, (generated) => {
      const expression = structuredClone(generated);
      assert.deepEqual(parse(formatExpression(expression)), expression);
    }),
  );
});

test('De Morgan holds in three-valued logic', () => {
  const row = fc.record({
    a: fc.option(fc.integer()),
    b: fc.option(fc.integer()),
    age_group: fc.constant(null),
    'x.y': fc.option(code),
    é: fc.option(code),
  });
  fc.assert(
    fc.property(tree, tree, row, (left, right, values) => {
      const value = (name: string): Code | null => values[name as keyof typeof values];
      const not = (term: Expression): Expression => ({ op: 'not', term });
      assert.equal(
        evaluateExpression(not({ op: 'and', terms: [left, right] }), value),
        evaluateExpression({ op: 'or', terms: [not(left), not(right)] }, value),
      );
    }),
  );
});
