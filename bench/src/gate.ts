/**
 * What the gate costs: the facts that its rules look at, the rules, and the ledger, beside the stage-one fit as the agent does it, on the
 * same records. Reading is measured apart, because both need it.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { buildAnalysisSet } from '@concordat/node-agent/data/design.ts';
import { disclosureFacts } from '@concordat/node-agent/data/evidence.ts';
import { loadTable } from '@concordat/node-agent/data/load.ts';
import { membersOf } from '@concordat/node-agent/data/members.ts';
import { snapshotOf } from '@concordat/node-agent/data/snapshot.ts';
import { Ledger } from '@concordat/node-agent/egress/ledger.ts';
import { draftStageOne } from '@concordat/node-agent/fit/stage-one.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { checkRelease } from '@concordat/shared/disclosure/rules.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';

import { makeData, TERMS } from './data.ts';
import { seconds, timeRuns } from './measure.ts';

const OUTCOMES = {
  linear: ['{kind: continuous, variable: y}', 'gaussian'],
  logistic: ['{kind: binary, variable: b}', 'binomial'],
  'Cox, Efron': ['{kind: time-to-event, time: t, event: e}', 'cox'],
} as const;

export async function benchGate(n: number, folder: string): Promise<void> {
  const file = join(folder, 'records.csv');
  writeRecords(file, n);
  console.log(`\nThe gate, ${n.toLocaleString('en')} rows × 8 parameters (goal: at most 5 % of the fit)\n`);
  console.log(
    '| what | reading | set and fit | gate | share of the fit | of reading and fit | row keys, once a file |\n|---|---|---|---|---|---|---|',
  );
  for (const [what, [outcome, family]] of Object.entries(OUTCOMES)) {
    const plan = expandPlan(
      parsePlan(
        `plan: 1
id: gate
treatment: {variable: treatment, control: 0, active: 1}
outcome: ${outcome}
analyses: [{id: a, approach: two-stage, model: {family: ${family}, adjust: [${TERMS.slice(2).join(', ')}]}}]`,
        'plan',
      ),
    );
    const analysis = plan.analyses[0]!;
    const start = performance.now();
    const table = await loadTable(file, plan, null);
    const reading = (performance.now() - start) / 1000;
    const ledger = new Ledger(mkdtempSync(join(folder, 'ledger-')));
    const hashing = performance.now();
    const snapshot = await snapshotOf(file, ledger.secret);
    const keys = (performance.now() - hashing) / 1000;

    const set = buildAnalysisSet(plan, analysis, table);
    const members = () => membersOf(snapshot, ledger.secret, plan, table, set.within, set.rows);
    ledger.record(members(), null);
    const gate = timeRuns(
      () => {
        const facts = disclosureFacts(plan, analysis, table, set.evidence);
        if (checkRelease(facts, DEFAULT_POLICY).length > 0) throw new Error('an honest analysis is refused');
        if (ledger.checkMembers(members(), DEFAULT_POLICY).length > 0)
          throw new Error('the same set is refused');
        ledger.record(members(), null);
      },
      2,
      5,
    ).best;
    const whole = timeRuns(() => void draftStageOne(plan, analysis, table, true), 1, 3).best;
    const fit = whole - gate;
    const share = (of: number): string => `${((100 * gate) / of).toFixed(1)} %`;
    console.log(
      `| ${what} | ${seconds(reading)} | ${seconds(fit)} | ${seconds(gate)} | ${share(fit)} | ${share(fit + reading)} | ${seconds(keys)} |`,
    );
  }
}

function writeRecords(file: string, n: number): void {
  const { columns, continuous, binary, time, event } = makeData(n);
  const lines = [`${TERMS.slice(1).join(',')},y,b,t,e`];
  for (let i = 0; i < n; i++) {
    const covariates = columns.slice(1).map((column) => column[i]);
    lines.push([...covariates, continuous[i], binary[i], time[i], event[i]].join(','));
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
}
