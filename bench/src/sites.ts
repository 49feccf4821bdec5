/** Sites of a small one-stage federation: what each answers is computed by the agent's own code. */
import { draftEntry, openAnalysis, type OpenAnalysis } from '@concordat/node-agent/fit/one-stage.ts';
import type { Column, Table } from '@concordat/node-agent/data/table.ts';
import type { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { Replay } from '@concordat/shared/one-stage/replay.ts';
import type { Ask } from '@concordat/shared/one-stage/types.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { toldQuestion } from '@concordat/shared/wire/one-stage.ts';

import { makeData, TERMS } from './data.ts';

export type Payload = NonNullable<SiteMessage['payload']>;

interface UnderWay {
  readonly opened: OpenAnalysis;
  readonly replay: Replay;
  ask: ((question: Ask) => Float64Array) | null;
}

const ROWS = 400;
const MOST = 50;
const data = makeData(MOST * ROWS);

/** What the i-th site of at most 50 answers, under `policy` (SHA-256 of the rules that it says it enforces). */
export function siteOf(
  planText: string,
  study: string,
  i: number,
  policy: Uint8Array,
): (task: Pick<CoordinatorMessage, 'payload'>, analysis: string) => Payload {
  const plan = expandPlan(parsePlan(planText, 'the plan'));
  const source = { data: study, map: null };
  const under = new Map<string, UnderWay>();
  return ({ payload }, id) => {
    switch (payload?.$case) {
      case 'planOffer':
        return { $case: 'planAccepted', value: { policyDigest: policy, openPolicy: false } };
      case 'entryQuestion': {
        const analysis = plan.analyses.find((one) => one.id === id)!;
        const opened = openAnalysis(source, plan, analysis, { table: tableOf(i), snapshot: null });
        under.set(id, { opened, replay: new Replay(opened.spec), ask: null });
        return draftEntry(plan, opened, true).payload;
      }
      case 'objectiveQuestion': {
        const fit = under.get(id)!;
        const { spec, set } = fit.opened;
        const asked = fit.replay.next(toldQuestion(payload.value, spec));
        if (typeof asked === 'string') throw new Error(asked);
        fit.ask ??= oneStageModels[spec.kind].study(spec, set.data, fit.replay.entry!.scaling);
        return { $case: 'objectiveValue', value: { values: [...fit.ask(asked)] } };
      }
      default:
        return { $case: 'runLeft', value: {} };
    }
  };
}

function tableOf(i: number): Table {
  const cut = (column: Float64Array): Float64Array => column.slice(i * ROWS, (i + 1) * ROWS);
  const columns = new Map<string, Column>(
    TERMS.slice(1).map((term, j) => [term, { kind: 'numeric', values: cut(data.columns[j + 1]!) } as const]),
  );
  columns.set('event', { kind: 'numeric', values: cut(data.binary) });
  return { rows: ROWS, columns, available: [...columns.keys()] };
}
