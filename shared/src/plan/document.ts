import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Static, TSchema } from 'typebox';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml';
import { ConcordatError, type ErrorCode, type Fault } from '../errors.ts';
import { nearest, oneOf, suggestion } from './suggest.ts';

/**
 * Reading a document that a person wrote (plan, policy, harmonisation map): YAML 1.2 restricted to what JSON can
 * hold, checked against a schema and then by the document's own rules; every fault is reported at once, with its line.
 */

/** Keys and indices from the document's root. */
export type Path = readonly (string | number)[];

/** What is wrong, before its line is known. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly remedy: string;
  /** Where the kind of document tells kinds of fault apart. */
  readonly code?: ErrorCode;
}

export interface DocumentKind<S extends TSchema> {
  /** What the reader calls it: `plan`. */
  readonly name: string;
  readonly schema: S;
  readonly syntaxCode: ErrorCode;
  readonly schemaCode: ErrorCode;
  /**
   * Rules beyond the schema. `sound(path)` says whether the schema found nothing at or below `path`; parts that are
   * not sound may have any shape and must not be touched.
   */
  readonly check?: (value: Static<S>, sound: (path: Path) => boolean) => readonly Finding[];
}

const MAXIMUM_BYTES = 256 * 1024;
const MAXIMUM_DEPTH = 16;
const MAXIMUM_FAULTS = 100;
/** What is looked at of a document that is wrong throughout, so that its refusal takes no long time. */
const MAXIMUM_ERRORS = 1000;

const ajv = new Ajv2020({ strict: true, allErrors: true, verbose: true, allowUnionTypes: true, discriminator: true });

/** Compiles a TypeBox schema. The clone drops TypeBox's own hidden keys, which strict ajv refuses. */
export function compileSchema<S extends TSchema>(schema: S): ValidateFunction<Static<S>> {
  return ajv.compile<Static<S>>(JSON.parse(JSON.stringify(schema)) as object);
}

/** `analyses[0].model.family`; empty for the root. */
export function pathText(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join('');
}

/**
 * A reader for one kind of document; the schema is compiled once.
 * The reader throws one ConcordatError, whose `faults` and message list everything that is wrong.
 */
export function documentReader<S extends TSchema>(
  kind: DocumentKind<S>,
): (text: string, place: string) => Static<S> {
  const validate = compileSchema(kind.schema);
  return (text, place) => {
    const { document, lines } = readYaml(text, place, kind);
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    const errors = validate(value) ? [] : (validate.errors ?? []).slice(0, MAXIMUM_ERRORS);
    const findings = schemaFindings(errors);
    const broken = errors.map((error) => pathText(schemaFinding(error).path));
    const sound = (path: Path): boolean => {
      const part = pathText(path);
      return !broken.some((text) => text === part || text.startsWith(`${part}.`) || text.startsWith(`${part}[`));
    };
    if (kind.check !== undefined && isMap(document.contents) && errors.length < MAXIMUM_ERRORS) {
      findings.push(...kind.check(value as Static<S>, sound));
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
    return value as Static<S>;
  };
}

function faultError(code: ErrorCode, name: string, place: string, faults: readonly Fault[]): ConcordatError {
  const shown = faults.slice(0, MAXIMUM_FAULTS);
  const list = shown.map(
    (fault) => `  ${fault.place}: ${fault.message.replaceAll('\n', '\n    ')}\n    remedy: ${fault.remedy}`,
  );
  const more = faults.length > shown.length ? [`  … and ${faults.length - shown.length} more`] : [];
  const count = faults.length === 1 ? `1 fault` : `${faults.length} faults`;
  return new ConcordatError(code, [`${count} in the ${name}:`, ...list, ...more].join('\n'), { place, faults });
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
  const options = { lineCounter: lines, stringKeys: true, resolveKnownTags: false, prettyErrors: false, uniqueKeys: false };
  const document = parseDocument(text, options);
  for (const fault of [...document.errors, ...document.warnings]) {
    const breaksOff = text.slice(text.lastIndexOf('\n', fault.pos[0] - 1) + 1, fault.pos[0]).includes('rcs(');
    if (fault.code === 'MULTIPLE_DOCS') report(fault.pos[0], 'a second document', 'remove `---` and what follows');
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

function inspect(document: Document.Parsed, report: (offset: number, message: string, remedy: string) => void): void {
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
        if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value) && /^[-+]?\d+$/.test(source ?? ''))) {
          report(offset, `\`${source ?? value}\` is not a number that can be held exactly`, 'quote it if it is a code');
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

interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
}

function schemaFindings(errors: readonly ErrorObject[]): Finding[] {
  // The branches of an `anyOf` fail each for its own reason: what is wanted is said once, by its description.
  const unions = errors.filter((error) => error.keyword === 'anyOf').map((error) => `${error.schemaPath}/`);
  const apart = errors.filter((error) => !unions.some((union) => error.schemaPath.startsWith(union)));
  // A misspelt key is said once, not as unknown and as missing.
  const misspelt = (missing: ErrorObject): boolean =>
    apart.some(
      (error) =>
        error.keyword === 'additionalProperties' &&
        error.instancePath === missing.instancePath &&
        nearest(String(error.params['additionalProperty']), [String(missing.params['missingProperty'])]) !== null,
    );
  return apart.filter((error) => error.keyword !== 'required' || !misspelt(error)).map(schemaFinding);
}

function schemaFinding(error: ErrorObject): Finding {
  const schema = (error.parentSchema ?? {}) as Described;
  const params = error.params as Readonly<Record<string, unknown>>;
  const path = pointerPath(error.instancePath);
  const found = inWords(error.data);
  const expected = schema.description ?? error.message ?? 'another value';
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params['additionalProperty']);
      const known = Object.keys(schema.properties ?? {});
      return {
        path: [...path, key],
        message: known.length === 0 ? `\`${key}\` is not a name that can stand here` : `unknown key \`${key}\``,
        remedy: known.length === 0 ? `expected: ${expected}` : suggestion(key, known),
      };
    }
    case 'required': {
      const key = String(params['missingProperty']);
      const meaning = schema.properties?.[key]?.description;
      return {
        path: [...path, key],
        message: `\`${key}\` is missing`,
        remedy: `add \`${key}:\`${meaning === undefined ? '' : ` (${meaning})`}`,
      };
    }
    case 'dependentRequired': {
      const key = String(params['missingProperty']);
      return { path, message: `\`${key}\` is missing beside \`${String(params['property'])}\``, remedy: `add \`${key}:\`` };
    }
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String);
      const written = typeof error.data === 'string' ? error.data : '';
      return { path, message: `${found} is not one of ${oneOf(allowed, 'and')}`, remedy: suggestion(written, allowed) };
    }
    case 'anyOf':
    case 'pattern':
      return { path, message: `${found} cannot stand here`, remedy: `expected: ${expected}` };
    case 'const':
      return { path, message: `${found} cannot stand here`, remedy: `write \`${String(params['allowedValue'])}\`` };
    case 'discriminator': {
      const branches = (error.schema ?? {}) as { readonly propertyName?: string };
      const tag = branches.propertyName ?? 'kind';
      const known = discriminatorValues(error.parentSchema);
      const written = params['tagValue'];
      return {
        path: written === undefined ? path : [...path, tag],
        message: written === undefined ? `\`${tag}\` is missing` : `${inWords(written)} is not a ${tag}`,
        remedy: typeof written === 'string' ? suggestion(written, known) : `add \`${tag}:\` ${oneOf(known)}`,
      };
    }
    case 'type':
      return { path, message: `${found} cannot stand here`, remedy: typeRemedy(error, expected) };
    default:
      return { path, message: `${found} ${error.message ?? 'is not valid'}`, remedy: `expected: ${expected}` };
  }
}

function discriminatorValues(schema: unknown): string[] {
  const { oneOf: branches = [] } = schema as {
    readonly oneOf?: readonly { readonly properties: { readonly kind: { readonly const: string } } }[];
  };
  return branches.map((branch) => branch.properties.kind.const);
}

function typeRemedy(error: ErrorObject, expected: string): string {
  const types = [(error.params as { readonly type: string | readonly string[] }).type].flat();
  const here = `expected: ${expected}`;
  if (error.data === null) return `${here} (nothing is written after the colon)`;
  if (types.includes('string') && typeof error.data === 'number') return `put it in quotes; ${here}`;
  if (types.includes('number') && typeof error.data === 'boolean') return `write 0 or 1; ${here}`;
  return here;
}

function inWords(value: unknown): string {
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = String(value);
  return `\`${text.length > 60 ? `${text.slice(0, 60)}…` : text}\``;
}

/** RFC 6901; a step of digits is an index unless the schema says otherwise, which no schema here does for maps. */
function pointerPath(pointer: string): Path {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
