/**
 * Every attack recovers something from an agent whose rule is off, and nothing with the shipped rules; and docs/attacks.md holds what was
 * recovered. `node test/attacks/write.ts` writes its table.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ATTACKS, carryOut, withTable, type Outcome } from './suite.ts';

const outcomes = new Map<string, Outcome>();

for (const attack of ATTACKS) {
  test(attack.name, async (t) => {
    const outcome = await carryOut(attack);
    outcomes.set(attack.name, outcome);
    t.diagnostic(`${attack.rule}: ${outcome.off.recovered} of ${outcome.off.of}, ${outcome.on.recovered}`);
    assert.ok(outcome.off.recovered > 0, 'without the rule the attack recovers something');
    assert.equal(outcome.on.recovered, 0, 'with it, nothing');
  });
}

test('docs/attacks.md tells what was recovered', () => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/attacks.md'), 'utf8');
  const all = ATTACKS.map(({ name }) => outcomes.get(name)!);
  assert.equal(document, withTable(document, all));
});

after(() => {
  for (const { name, rule } of ATTACKS) {
    const outcome = outcomes.get(name);
    if (outcome === undefined) continue;
    const { off, on } = outcome;
    console.log(
      `${`${off.recovered}/${off.of}`.padStart(9)} → ${`${on.recovered}`.padEnd(4)} ${name} (${rule})`,
    );
  }
});
