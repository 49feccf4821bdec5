import { ConcordatError } from '../errors.ts';
import { codeKey, codeNumber, sameCode } from './codes.ts';
import { isVariableName } from './names.ts';
import type { Code, Expression } from './types.ts';

/**
 * The population language: closed, never code.
 *
 *   or         = and { "or" and }
 *   and        = not { "and" not }
 *   not        = "not" not | primary
 *   primary    = "(" or ")" | "missing" "(" variable ")" | comparison
 *   comparison = variable operator literal | literal operator variable
 *              | variable [ "not" ] "in" "(" literal { "," literal } ")"
 *   operator   = "<" | "<=" | ">" | ">=" | "==" | "!="
 *   literal    = number | "text" | 'text'          (\" \' \\ inside text)
 *
 * Three-valued: a comparison with a missing value is unknown, `and`, `or` and `not` follow Kleene, and a row is in the
 * population only where the whole is true. Codes are equal as in `codes.ts`; `<` and its like compare numbers.
 */

type Comparison = Extract<Expression, { readonly value: Code }>['op'];

interface Token {
  readonly kind: 'word' | 'number' | 'text' | 'operator' | 'symbol' | 'end';
  readonly text: string;
  /** Of a literal. */
  readonly value: Code;
  /** Offset in the text. */
  readonly at: number;
}

const MAXIMUM_LENGTH = 10_000;
const MAXIMUM_DEPTH = 50;
const KEYWORDS = ['and', 'or', 'not', 'in', 'missing'];
const MIRRORED: Readonly<Record<Comparison, Comparison>> = {
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
  '==': '==',
  '!=': '!=',
};
const TOKEN =
  /(?<space>\s+)|(?<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\p{L}\p{N}_.]))|(?<word>[\p{L}_][\p{L}\p{N}_.]*)|(?<text>"(?:[^"\\\p{Cc}]|\\["'\\])*"|'(?:[^'\\\p{Cc}]|\\["'\\])*')|(?<operator><=|>=|==|!=|<|>)|(?<symbol>[(),])/uy;

/** What other languages write, and how it is written here. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(?:&&?)/, 'write `and`'],
  [/^\|\|?/, 'write `or`'],
  [/^(?:!|~|¬)/, 'write `not`, or `!=` between a variable and a value'],
  [/^=/, 'write `==`'],
  [/^(?:≤|≥|≠)/, 'write `<=`, `>=` or `!='],
  [/^%in%/, 'write `in ("1", "2")`'],
  [
    /^["'“”‘’]/,
    'text is closed by the same straight quote that opens it, on the same line; `\\` stands before a quote inside it',
  ],
  [/^[[\]{}]/, 'use round brackets: `in ("1", "2")`'],
  [/^[-+*/^%]/, 'arithmetic is not part of the language: prepare the variable before the analysis'],
  [/^[\d.]/, 'write a number such as 18 or 0.5, and text in quotes'],
];

/**
 * Parses `text`; `place` names it in errors (a file and key).
 * @throws ConcordatError `plan/expression`, with the column and a caret under it
 */
export function parseExpression(text: string, place: string): Expression {
  return new Parser(text, place).parse();
}

class Parser {
  private readonly source: string;
  private readonly place: string;
  private readonly tokens: readonly Token[];
  private index = 0;
  private depth = 0;

  constructor(source: string, place: string) {
    this.source = source;
    this.place = place;
    if (source.length > MAXIMUM_LENGTH) {
      this.fail(
        0,
        'the expression is too long',
        `at most ${MAXIMUM_LENGTH} characters; use \`in (…)\` for lists`,
      );
    }
    this.tokens = this.tokenise();
  }

  parse(): Expression {
    const expression = this.either();
    const rest = this.peek();
    if (rest.kind !== 'end') {
      const chained = rest.kind === 'operator';
      this.fail(
        rest.at,
        `\`${rest.text}\` does not belong here`,
        chained ? 'write a range as `age >= 18 and age < 65`' : 'join conditions by `and` or `or`',
      );
    }
    return expression;
  }

  private tokenise(): Token[] {
    const tokens: Token[] = [];
    const { source } = this;
    let at = 0;
    while (at < source.length) {
      TOKEN.lastIndex = at;
      const groups = TOKEN.exec(source)?.groups ?? {};
      const matched = Object.entries(groups).find(([, text]) => text !== undefined);
      if (matched === undefined) {
        const rest = source.slice(at);
        const remedy = FOREIGN.find(([pattern]) => pattern.test(rest))?.[1];
        return this.fail(
          at,
          `\`${[...rest][0]}\` cannot stand here`,
          remedy ?? 'see the population expressions in docs/plan.md',
        );
      }
      const [kind, text] = matched;
      if (kind === 'number' && !Number.isFinite(Number(text)))
        this.fail(at, 'the number is too large', 'write a finite number');
      if (kind !== 'space') {
        const value =
          kind === 'number'
            ? Number(text) + 0
            : kind === 'text'
              ? text.slice(1, -1).replaceAll(/\\(.)/g, '$1')
              : text;
        tokens.push({ kind: kind as Token['kind'], text, value, at });
      }
      at += text.length;
    }
    tokens.push({ kind: 'end', text: 'the end', value: '', at: source.length });
    return tokens;
  }

  private peek(): Token {
    return this.tokens[Math.min(this.index, this.tokens.length - 1)]!;
  }

  private next(): Token {
    const token = this.peek();
    this.index += 1;
    return token;
  }

  private take(text: string): boolean {
    const token = this.peek();
    const taken = token.text === text && (token.kind === 'word' || token.kind === 'symbol');
    if (taken) this.index += 1;
    return taken;
  }

  private expect(text: string, remedy: string): void {
    const token = this.peek();
    if (!this.take(text)) this.fail(token.at, `\`${text}\` is missing before ${this.inWords(token)}`, remedy);
  }

  private either(): Expression {
    return this.joined('or', () => this.both());
  }

  private both(): Expression {
    return this.joined('and', () => this.negated());
  }

  private joined(op: 'and' | 'or', part: () => Expression): Expression {
    const terms = [part()];
    while (this.take(op)) terms.push(part());
    return terms.length === 1 ? terms[0]! : { op, terms };
  }

  private negated(): Expression {
    const { at } = this.peek();
    this.depth += 1;
    if (this.depth > MAXIMUM_DEPTH) {
      this.fail(at, 'nested too deeply', `at most ${MAXIMUM_DEPTH} levels of brackets and \`not\``);
    }
    const expression: Expression = this.take('not') ? { op: 'not', term: this.negated() } : this.primary();
    this.depth -= 1;
    return expression;
  }

  private primary(): Expression {
    if (this.take('(')) {
      const inner = this.either();
      this.expect(')', 'close the bracket');
      return inner;
    }
    if (this.take('missing')) {
      this.expect('(', 'write `missing(x)`');
      const variable = this.variable(this.next());
      this.expect(')', 'write `missing(x)`');
      return { op: 'missing', variable };
    }
    const left = this.next();
    if (left.kind === 'number' || left.kind === 'text') {
      const op = this.operator(left);
      return this.comparison(this.variable(this.next()), MIRRORED[op], left);
    }
    const variable = this.variable(left);
    const negated = this.take('not');
    if (this.take('in')) {
      const member = this.membership(variable);
      return negated ? { op: 'not', term: member } : member;
    }
    if (negated) this.fail(this.peek().at, '`in` is missing after `not`', 'write `x not in ("1", "2")`');
    const op = this.operator(left);
    return this.comparison(variable, op, this.literal());
  }

  private operator(left: Token): Comparison {
    const token = this.next();
    if (token.kind !== 'operator') {
      const remedy =
        left.kind === 'word' && token.text === '('
          ? 'the only function is `missing(x)`'
          : `compare \`${left.text}\` with a value, e.g. \`x == 1\` or \`x in (1, 2)\``;
      this.fail(token.at, `a comparison is missing before ${this.inWords(token)}`, remedy);
    }
    return token.text as Comparison;
  }

  private comparison(variable: string, op: Comparison, literal: Token): Expression {
    if (literal.kind === 'text' && op !== '==' && op !== '!=') {
      this.fail(
        literal.at,
        `\`${op}\` compares numbers`,
        'write the number without quotes, or list codes: `in ("2", "3")`',
      );
    }
    return { op, variable, value: literal.value };
  }

  private membership(variable: string): Expression {
    this.expect('(', 'write the list as `in ("1", "2")`');
    const values = [this.literal().value];
    while (this.take(',')) values.push(this.literal().value);
    this.expect(')', 'separate values by commas and close the bracket');
    return { op: 'in', variable, values };
  }

  private literal(): Token {
    const token = this.next();
    if (token.kind === 'number' || token.kind === 'text') return token;
    const word = token.text.toLowerCase();
    const remedy = ['na', 'null', 'none', 'missing', 'nan'].includes(word)
      ? 'write `missing(x)` or `not missing(x)`'
      : ['true', 'false'].includes(word)
        ? 'write 1 or 0'
        : 'a variable is compared with a number, or with text in quotes, e.g. "male"';
    return this.fail(token.at, `a value is missing before ${this.inWords(token)}`, remedy);
  }

  private variable(token: Token): string {
    if (token.kind === 'word' && isVariableName(token.text)) {
      if (!KEYWORDS.includes(token.text.toLowerCase())) return token.text;
      this.fail(
        token.at,
        `\`${token.text}\` is a word of the language`,
        "words of the language are in lower case, and no variable's name",
      );
    }
    return this.fail(
      token.at,
      `a variable is missing before ${this.inWords(token)}`,
      KEYWORDS.includes(token.text)
        ? 'a condition is missing here'
        : 'write e.g. `age >= 18 and not missing(sex)`',
    );
  }

  private inWords(token: Token): string {
    return token.kind === 'end' ? 'the end' : `\`${token.text}\``;
  }

  /** The line of the fault, and a caret under its column (in characters). */
  private fail(at: number, message: string, remedy: string): never {
    const before = this.source.slice(0, at).split('\n');
    const lead = before[before.length - 1]!;
    const line = `${lead}${this.source.slice(at).split('\n')[0]}`;
    const column = [...lead].length + 1;
    const from = Math.max(0, column - 61);
    const excerpt = [...line]
      .slice(from, from + 100)
      .join('')
      .replaceAll(/\p{Cc}/gu, ' ');
    const where = before.length === 1 ? `column ${column}` : `line ${before.length}, column ${column}`;
    const shown = `  ${excerpt}\n  ${' '.repeat(column - 1 - from)}^`;
    throw new ConcordatError('plan/expression', `${message} (${where})\n${shown}`, {
      place: this.place,
      remedy,
    });
  }
}

/** Truth of `expression` for one row, or null where it is unknown. `value` gives a variable's code, null where missing. */
export function evaluateExpression(
  expression: Expression,
  value: (variable: string) => Code | null,
): boolean | null {
  switch (expression.op) {
    case 'and':
    case 'or': {
      const decisive = expression.op === 'or';
      let unknown = false;
      for (const term of expression.terms) {
        const truth = evaluateExpression(term, value);
        if (truth === decisive) return decisive;
        unknown ||= truth === null;
      }
      return unknown ? null : !decisive;
    }
    case 'not': {
      const truth = evaluateExpression(expression.term, value);
      return truth === null ? null : !truth;
    }
    case 'missing':
      return value(expression.variable) === null;
    case 'in': {
      const code = value(expression.variable);
      return code === null ? null : expression.values.some((other) => sameCode(code, other));
    }
    default: {
      const code = value(expression.variable);
      return code === null ? null : compare(expression.op, code, expression.value);
    }
  }
}

function compare(op: Comparison, code: Code, literal: Code): boolean | null {
  if (op === '==') return sameCode(code, literal);
  if (op === '!=') return !sameCode(code, literal);
  const left = codeNumber(code);
  const right = codeNumber(literal);
  // text that is no number has no order
  if (left === null || right === null) return null;
  switch (op) {
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

/** Variables that the expression reads, each once, in order of first use. */
export function variablesOf(expression: Expression): string[] {
  switch (expression.op) {
    case 'and':
    case 'or':
      return [...new Set(expression.terms.flatMap(variablesOf))];
    case 'not':
      return variablesOf(expression.term);
    default:
      return [expression.variable];
  }
}

/** Text that `parseExpression` reads back as the same expression. */
export function formatExpression(expression: Expression): string {
  switch (expression.op) {
    case 'and':
    case 'or':
      return expression.terms.map((term) => formatOperand(term)).join(` ${expression.op} `);
    case 'not':
      return `not ${formatOperand(expression.term)}`;
    case 'missing':
      return `missing(${expression.variable})`;
    case 'in':
      return `${expression.variable} in (${expression.values.map(formatCode).join(', ')})`;
    default:
      return `${expression.variable} ${expression.op} ${formatCode(expression.value)}`;
  }
}

const formatOperand = (term: Expression): string =>
  term.op === 'and' || term.op === 'or' ? `(${formatExpression(term)})` : formatExpression(term);

const formatCode = (code: Code): string =>
  typeof code === 'number' ? codeKey(code) : `"${code.replaceAll(/["\\]/g, '\\$&')}"`;
