/** Plans with everything in them, made from the plan's schema, so that a key that is added to it is tested from that day on. */
import schema from '../../schema/plan.schema.json' with { type: 'json' };
import { ID_PATTERN, VARIABLE_PATTERN } from '../plan/names.ts';
import type { WrittenPlan } from '../plan/schema.ts';

import { parseAgreement, type Agreement } from './document.ts';

interface Node {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly uniqueItems?: boolean;
}

export interface FullPlan {
  readonly plan: WrittenPlan;
  /** Every variable in it, each in one place, with the place. */
  readonly variables: ReadonlyMap<string, string>;
}

/** Texts that may hold a variable's name in a language of their own. */
const WITH_VARIABLE: Readonly<Record<string, (variable: string) => string>> = {
  population: (variable) => `${variable} == 1`,
  'analyses[].model.adjust[]': (variable) => `factor(${variable})`,
};
/** Texts that hold no variable of their own: a term that is pooled is one that another key has made. */
const WITHOUT_VARIABLE = ['title', 'registration', 'studies[]', 'analyses[].pool.term'];

/** One plan for each kind of outcome, with every optional key; throws at text that is not told to hold a variable or none. */
export function fullPlans(): FullPlan[] {
  const kinds = (schema as Node).properties!['outcome']!.oneOf!;
  return kinds.map((kind) => {
    const variables = new Map<string, string>();
    const fill = (node: Node, path: string): unknown => {
      const variable = (): string => {
        const name = `v${variables.size}`;
        variables.set(name, path);
        return name;
      };
      if (node.const !== undefined) return node.const;
      if (node.enum !== undefined) return node.enum[0];
      if (node.oneOf !== undefined) return fill(kind, path);
      if (node.anyOf !== undefined)
        return fill(
          node.anyOf.find(({ type }) => type === 'array')!,
          path,
        );
      if (node.properties !== undefined)
        return Object.fromEntries(
          Object.entries(node.properties).map(([key, part]) => [
            key,
            fill(part, path === '' ? key : `${path}.${key}`),
          ]),
        );
      if (node.patternProperties !== undefined) {
        const [part] = Object.values(node.patternProperties);
        return { [variable()]: fill(part!, `${path}.*`) };
      }
      const types = [node.type ?? []].flat();
      if (types.includes('array') && !types.includes('string') && !types.includes('integer'))
        return [fill(node.items!, `${path}[]`)];
      if (types.includes('integer') || types.includes('number')) return node.minimum ?? 1;
      if (types.includes('boolean')) return true;
      if (node.pattern === VARIABLE_PATTERN) return variable();
      if (node.pattern === ID_PATTERN) return 'an-id';
      const text = WITH_VARIABLE[path];
      if (text !== undefined) return text(variable());
      if (WITHOUT_VARIABLE.includes(path)) return 'text';
      throw new Error(`\`${path}\` is new: say whether it can name a variable`);
    };
    return { plan: fill(schema, '') as WrittenPlan, variables };
  });
}

export const KEY = 'ab'.repeat(32);

/** A valid agreement, with keys added to it or put in place of its own. */
export function agreementOf(over: Readonly<Record<string, unknown>> = {}): Agreement {
  const written = {
    agreement: 1,
    name: 'the sharing agreement',
    until: '2027-12-31',
    custodians: [{ name: 'A. Custodian', key: KEY }],
    approval: 'each-plan',
    variables: [],
    outcomes: [],
    families: [],
    ...over,
  };
  // JSON is YAML.
  return parseAgreement(JSON.stringify(written), 'agreement.yaml', { local: false });
}
