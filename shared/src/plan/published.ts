import { AgreementSchema } from '../disclosure/agreement-schema.ts';
import { PolicySchema } from '../disclosure/policy-schema.ts';
import { MapSchema } from './map-schema.ts';
import { ResultSchema } from './result-schema.ts';
import { PlanSchema } from './schema.ts';

const SCHEMAS = {
  plan: { title: 'Concordat analysis plan', schema: PlanSchema },
  result: { title: 'Concordat result', schema: ResultSchema },
  policy: { title: 'Concordat disclosure policy', schema: PolicySchema },
  agreement: { title: 'Concordat agreement of a site', schema: AgreementSchema },
  map: { title: 'Concordat harmonisation map', schema: MapSchema },
};

/** The JSON Schemas (2020-12) that are published in `shared/schema`, as file name and text. */
export function publishedSchemas(): { readonly file: string; readonly text: string }[] {
  return Object.entries(SCHEMAS).map(([name, { title, schema }]) => ({
    file: `${name}.schema.json`,
    text: `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', title, ...schema }, null, 2)}\n`,
  }));
}
