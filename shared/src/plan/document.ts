import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
} from 'yaml';
import { ConcordatError, type ErrorCode, type Fault } from '../errors.ts';
import { schemaFinding, schemaFindings, type Finding, type Path } from './findings.ts';

/**
 * Reading a document that a person wrote (plan, policy, harmonisation map): YAML 1.2 restricted to what JSON can
 * hold, checked against a schema and then by the document's own rules; every fault is reported at once, with its line.
 */

export interface DocumentKind<T> {
  /** What the reader calls it: `plan`. */
  readonly name: string;
  /** JSON Schema (2020-12) of a `T`: a published one, or one written in place. */
  readonly schema: object;
  readonly syntaxCode: ErrorCode;
  readonly schemaCode: ErrorCode;
  /**
   * Rules beyond the schema. `sound(path)` says whether the schema found nothing at or below `path`; parts that are
   * not sound may have any shape and must not be touched.
   */
  readonly check?: (value: T, sound: (path: Path) => boolean) => readonly Finding[];
}

const MAXIMUM_BYTES = 256 * 1024;
const MAXIMUM_DEPTH = 16;
const MAXIMUM_FAULTS = 100;
/** What is looked at of a document that is wrong throughout, so that its refusal takes no long time. */
const MAXIMUM_ERRORS = 1000;

const ajv = new Ajv2020({
  strict: true,
  allErrors: true,
  verbose: true,
  allowUnionTypes: true,
  discriminator: true,
});

/**
 * A check of values against a JSON Schema: every error, none where the value is valid. Compiled at the first use,
 * for programs that start often.
 */
export function schemaCheck(schema: object): (value: unknown) => readonly ErrorObject[] {
  let compiled: ValidateFunction | null = null;
  return (value) => {
    compiled ??= ajv.compile(schema);
    return compiled(value) ? [] : (compiled.errors ?? []);
  };
}

/** `analyses[0].model.family`; empty for the root. */
export function pathText(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join('');
}

/**
 * A reader for one kind of document.
 * The reader throws one ConcordatError, whose `faults` and message list everything that is wrong.
 */
export function documentReader<T>(kind: DocumentKind<T>): (text: string, place: string) => T {
  const check = schemaCheck(kind.schema);
  return (text, place) => {
    const { document, lines } = readYaml(text, place, kind);
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    const errors = check(value).slice(0, MAXIMUM_ERRORS);
    const findings = schemaFindings(errors);
    const broken = errors.map((error) => pathText(schemaFinding(error).path));
    const sound = (path: Path): boolean => {
      const part = pathText(path);
      return !broken.some((at) => at === part || at.startsWith(`${part}.`) || at.startsWith(`${part}[`));
    };
    if (kind.check !== undefined && isMap(document.contents) && errors.length < MAXIMUM_ERRORS) {
      findings.push(...kind.check(value as T, sound));
    }
    if (findings.length > 0) {
      const located = findings
        .map((finding) => ({ finding, line: lineOf(document, lines, finding.path) }))
        .toSorted((a, b) => a.line - b.line);
      const codes = new Set(findings.map((finding) => finding.code ?? kind.schemaCode));
      throw faultError(
        codes.size === 1 ? [...codes][0]! : kind.schemaCode,
        kind.name,
        place,
        located.map(({ finding, line }) => ({
          place: [`${place}:${line}`, pathText(finding.path)].join(' ').trimEnd(),
          message: finding.message,
          remedy: finding.remedy,
        })),
      );
    }
    return value as T;
  };
}

function faultError(code: ErrorCode, name: string, place: string, faults: readonly Fault[]): ConcordatError {
  const shown = faults.slice(0, MAXIMUM_FAULTS);
  const list = shown.map(
    (fault) => `  ${fault.place}: ${fault.message.replaceAll('\n', '\n    ')}\n    remedy: ${fault.remedy}`,
  );
  const more = faults.length > shown.length ? [`  … and ${faults.length - shown.length} more`] : [];
  const count = faults.length === 1 ? `1 fault` : `${faults.length} faults`;
  return new ConcordatError(code, [`${count} in the ${name}:`, ...list, ...more].join('\n'), {
    place,
    faults,
  });
}

/** YAML 1.2, core schema, one document, without anchors, aliases, tags, merges, or numbers that JSON cannot hold. */
function readYaml(
  text: string,
  place: string,
  kind: { readonly name: string; readonly syntaxCode: ErrorCode },
): { document: Document.Parsed; lines: LineCounter } {
  const lines = new LineCounter();
  const faults: { readonly offset: number; readonly message: string; readonly remedy: string }[] = [];
  const report = (offset: number, message: string, remedy: string): void => {
    faults.push({ offset, message, remedy });
  };
  const refuseWhole = (message: string, remedy: string): never => {
    throw faultError(kind.syntaxCode, kind.name, place, [{ place, message, remedy }]);
  };

  if (new TextEncoder().encode(text).length > MAXIMUM_BYTES) {
    refuseWhole('the file is larger than 256 KiB', `check that it is the ${kind.name} and not data`);
  }
  // Before parsing, which recurses: flow brackets and indentation bound the depth of what follows.
  if (depthBound(text) > MAXIMUM_DEPTH * 8) {
    refuseWhole('nested too deeply', `no part of a ${kind.name} is nested more than ${MAXIMUM_DEPTH} levels`);
  }
  // Duplicate keys are looked for below: the library's own search takes quadratic time.
  const options = {
    lineCounter: lines,
    stringKeys: true,
    resolveKnownTags: false,
    prettyErrors: false,
    uniqueKeys: false,
  };
  const document = parseDocument(text, options);
  for (const fault of [...document.errors, ...document.warnings]) {
    const breaksOff = text.slice(text.lastIndexOf('\n', fault.pos[0] - 1) + 1, fault.pos[0]).includes('rcs(');
    if (fault.code === 'MULTIPLE_DOCS')
      report(fault.pos[0], 'a second document', 'remove `---` and what follows');
    else {
      const remedy = breaksOff
        ? 'put the term in quotes: "rcs(x, [k1, k2, k3])"'
        : 'mend the YAML here: indent with spaces, and quote text that holds `: `, `#`, `[` or `{`';
      report(fault.pos[0], fault.message.replace(/\.$/, ''), remedy);
    }
  }
  const version = document.directives.yaml;
  if (version.explicit && version.version !== '1.2') report(0, 'not YAML 1.2', 'remove the %YAML line');
  inspect(document, report);
  if (faults.length > 0) {
    const located = faults
      .toSorted((a, b) => a.offset - b.offset)
      .map(({ offset, message, remedy }) => {
        const { line, col } = lines.linePos(offset);
        return { place: `${place}:${line}:${col}`, message, remedy };
      });
    throw faultError(kind.syntaxCode, kind.name, place, located);
  }
  if (document.contents === null) refuseWhole('the file is empty', `write a ${kind.name} in it`);
  return { document, lines };
}

function inspect(
  document: Document.Parsed,
  report: (offset: number, message: string, remedy: string) => void,
): void {
  visit(document, {
    Node(_key, node, ancestors) {
      const offset = node.range?.[0] ?? 0;
      if (ancestors.length > 2 * MAXIMUM_DEPTH) {
        report(offset, 'nested too deeply', `at most ${MAXIMUM_DEPTH} levels`);
        return visit.BREAK;
      }
      if (isAlias(node)) report(offset, 'an alias (`*name`)', 'write the value out again');
      else if (node.anchor !== undefined) report(offset, 'an anchor (`&name`)', 'remove it');
      if (node.tag !== undefined) {
        const tag = node.tag.replace('tag:yaml.org,2002:', '!!');
        report(offset, `a tag (\`${tag}\`)`, 'remove it; quote what is text');
      }
      if (isScalar(node) && typeof node.value === 'number') {
        const { value, source } = node;
        if (
          !Number.isFinite(value) ||
          (Number.isInteger(value) && !Number.isSafeInteger(value) && /^[-+]?\d+$/.test(source ?? ''))
        ) {
          report(
            offset,
            `\`${source ?? value}\` is not a number that can be held exactly`,
            'quote it if it is a code',
          );
        }
      }
      if (isMap(node)) {
        const seen = new Set<string>();
        for (const { key } of node.items) {
          const name = isScalar(key) ? String(key.value) : '';
          if (isScalar(key) && seen.has(name)) {
            report(key.range?.[0] ?? offset, `the key \`${name}\` is written twice`, 'keep one of them');
          }
          seen.add(name);
        }
      }
      return undefined;
    },
  });
}

/** At least the nesting depth of the text, and never much more: open brackets plus indentation and dashes of a line. */
function depthBound(text: string): number {
  let open = 0;
  let deepest = 0;
  for (const line of text.split('\n')) {
    const lead = /^[ \-?:\t]*/.exec(line)![0].length;
    for (const character of line) {
      if (character === '[' || character === '{') open += 1;
      else if ((character === ']' || character === '}') && open > 0) open -= 1;
      if (open > deepest) deepest = open;
    }
    deepest = Math.max(deepest, lead / 2);
  }
  return deepest;
}

/** Line of a path's key, or of the deepest part of it that is written. */
function lineOf(document: Document.Parsed, lines: LineCounter, path: Path): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = (pair.value as Node | null) ?? null;
    } else if (isSeq(node) && typeof step === 'number') {
      node = (node.items[step] as Node | undefined) ?? null;
      offset = node?.range?.[0] ?? offset;
    } else break;
  }
  return lines.linePos(offset).line;
}
