import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { generate } from '../../../examples/hypertension/generate.ts';
import { progressPrinter } from '../progress.ts';
import { runLocal } from './local.ts';

const PLANS = ['plan', 'plan-blood-pressure', 'plan-control', 'plan-admissions'];

/** Ten invented trials, one of them too small for the shipped policy, one with missing values. */
export async function demo(options: { readonly out: string; readonly json?: boolean }): Promise<0 | 3> {
  const print = progressPrinter({ json: options.json === true });
  const data = join(options.out, 'data');
  mkdirSync(data, { recursive: true });
  for (const { file, text } of generate()) writeFileSync(join(data, file), text);
  let worst: 0 | 3 = 0;
  for (const name of PLANS) {
    const plan = join(import.meta.dirname, '../../../examples/hypertension', `${name}.yaml`);
    const status = await runLocal({ plan, data, out: join(options.out, name) }, print);
    if (status !== 0) worst = status;
  }
  if (options.json !== true) {
    console.log('\nFour plans over the same ten trials. The reports, each one file:');
    for (const name of PLANS) console.log(`  ${join(options.out, name, 'report.html')}`);
    console.log(
      `The trials' records: ${data}; what left each of them: ${join(options.out, PLANS[0] ?? '', 'log', 'sites')}`,
    );
  }
  return worst;
}
