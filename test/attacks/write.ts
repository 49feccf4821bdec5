/** Carries out every attack and writes the table of docs/attacks.md: `node test/attacks/write.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ATTACKS, carryOut, withTable, type Outcome } from './suite.ts';

const file = join(import.meta.dirname, '../../docs/attacks.md');
const outcomes: Outcome[] = [];
for (const attack of ATTACKS) {
  const outcome = await carryOut(attack);
  outcomes.push(outcome);
  console.log(`${outcome.off.recovered} of ${outcome.off.of}, ${outcome.on.recovered}: ${attack.name}`);
}
writeFileSync(file, withTable(readFileSync(file, 'utf8'), outcomes));
