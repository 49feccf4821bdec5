import type { ErrorObject } from 'ajv/dist/2020.js';
import type { ErrorCode } from '../errors.ts';
import { nearest, oneOf, suggestion } from './suggest.ts';

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

interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
}

/** What a schema's errors mean, each with a remedy. */
export function schemaFindings(errors: readonly ErrorObject[]): Finding[] {
  // The branches of an `anyOf` fail each for its own reason: what is wanted is said once, by its description.
  const unions = errors.filter((error) => error.keyword === 'anyOf').map((error) => `${error.schemaPath}/`);
  const apart = errors.filter((error) => !unions.some((union) => error.schemaPath.startsWith(union)));
  // A misspelt key is said once, not as unknown and as missing.
  const misspelt = (missing: ErrorObject): boolean =>
    apart.some(
      (error) =>
        error.keyword === 'additionalProperties' &&
        error.instancePath === missing.instancePath &&
        nearest(String(error.params['additionalProperty']), [String(missing.params['missingProperty'])]) !==
          null,
    );
  return apart.filter((error) => error.keyword !== 'required' || !misspelt(error)).map(schemaFinding);
}

/** One error: the path that it is about, what is wrong, and what to write. */
export function schemaFinding(error: ErrorObject): Finding {
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
        message:
          known.length === 0 ? `\`${key}\` is not a name that can stand here` : `unknown key \`${key}\``,
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
      return {
        path,
        message: `\`${key}\` is missing beside \`${String(params['property'])}\``,
        remedy: `add \`${key}:\``,
      };
    }
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String);
      const written = typeof error.data === 'string' ? error.data : '';
      return {
        path,
        message: `${found} is not one of ${oneOf(allowed, 'and')}`,
        remedy: suggestion(written, allowed),
      };
    }
    case 'anyOf':
    case 'pattern':
      return { path, message: `${found} cannot stand here`, remedy: `expected: ${expected}` };
    case 'const':
      return {
        path,
        message: `${found} cannot stand here`,
        remedy: `write \`${String(params['allowedValue'])}\``,
      };
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
      return {
        path,
        message: `${found} ${error.message ?? 'is not valid'}`,
        remedy: `expected: ${expected}`,
      };
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
  const text = typeof value === 'string' ? value : JSON.stringify(value);
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
