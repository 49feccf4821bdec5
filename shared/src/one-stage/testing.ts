import { rcsBasis } from '../models/rcs.ts';
import type { DiagnosisCode, Response, StudyData } from '../models/types.ts';
import { ringSum } from '../numerics/ring.ts';
import { sameCode } from '../plan/codes.ts';
import { expandPlan } from '../plan/expand.ts';
import { parsePlan } from '../plan/parse.ts';
import type { Analysis, Basis, Code, ExpandedPlan } from '../plan/types.ts';
import { combineEntries, siteEntry } from './entry.ts';
import { oneStageModels } from './registry.ts';
import { oneStageSpec } from './spec.ts';
import type { Ask, Entry, OneStageFit, OneStageSpec } from './types.ts';

/** A study's complete records by variable, all of the same length. */
export type Records = Readonly<Record<string, readonly Code[]>>;

export interface Federation {
  readonly spec: OneStageSpec;
  readonly entry: Entry;
  readonly studies: readonly StudyData[];
  /** Studies that cannot take part, by position among those given, and why. */
  readonly excluded: ReadonlyMap<number, DiagnosisCode>;
  readonly fit: OneStageFit;
  /** Every question, and the sum of its answers (empty where each counts alone). */
  readonly asked: readonly { readonly ask: Ask; readonly sum: Float64Array }[];
}

/** A plan's one analysis over studies in memory: what the sites and the coordinator do, without either. For tests. */
export function federate(text: string, given: readonly Records[], { ownEstimates = true } = {}): Federation {
  const plan = expandPlan(parsePlan(text, 'plan'));
  const analysis = plan.analyses[0]!;
  if (analysis.unsupported !== null) throw new Error(analysis.unsupported);
  const spec = oneStageSpec(plan, analysis);
  const excluded = new Map<number, DiagnosisCode>();
  const studies: StudyData[] = [];
  const entries = given.flatMap((records, i) => {
    const data = studyData(plan, analysis, records);
    const entry = siteEntry(spec, data);
    if (entry.status === 'excluded') {
      excluded.set(i, entry.code);
      return [];
    }
    studies.push(data);
    return [ownEstimates ? entry.entry : { ...entry.entry, own: null }];
  });
  const entry = combineEntries(spec, entries);
  const model = oneStageModels[spec.kind];
  const sites = studies.map((data) => model.study(spec, data, entry.scaling));
  const asked: { ask: Ask; sum: Float64Array }[] = [];
  const program = model.program(spec, entry);
  let turn = program.next();
  while (turn.done !== true) {
    const ask = turn.value;
    const answers = sites.map((site) => site(ask));
    const sum = ask.gather === 'sum' ? ringSum(answers) : new Float64Array(0);
    asked.push({ ask, sum });
    turn = program.next(ask.gather === 'sum' ? [sum] : answers);
  }
  return { spec, entry, studies, excluded, fit: turn.value, asked };
}

/** Response and design of complete records, as an agent makes them. */
export function studyData(plan: ExpandedPlan, analysis: Analysis, records: Records): StudyData {
  const { outcome, treatment } = plan;
  const numbers = (name: string): Float64Array => Float64Array.from(records[name] ?? [], Number);
  const codes = (name: string): readonly Code[] => records[name] ?? [];
  const levels = (name: string, known: readonly Code[]): Int32Array =>
    Int32Array.from(codes(name), (code) => known.findIndex((other) => sameCode(code, other)));
  const n = (Object.values(records)[0] ?? []).length;
  const weights = outcome.kind === 'binary-grouped' ? numbers(outcome.trials) : new Float64Array(n).fill(1);
  const average = (values: Float64Array): number => {
    let [sum, total] = [0, 0];
    values.forEach((value, i) => {
      sum += weights[i]! * (value - values[0]!);
      total += weights[i]!;
    });
    return n === 0 ? 0 : values[0]! + sum / total;
  };
  const columnOf = (basis: Basis): Float64Array => {
    switch (basis.kind) {
      case 'intercept':
        return new Float64Array(n).fill(1);
      case 'treatment':
        return Float64Array.from(codes(treatment!.variable), (code) => (sameCode(code, basis.arm) ? 1 : 0));
      case 'study-mean':
        return new Float64Array(n).fill(average(columnOf(basis.of)));
      case 'linear':
        return numbers(basis.variable);
      case 'level':
        return Float64Array.from(codes(basis.variable), (code) => (sameCode(code, basis.level) ? 1 : 0));
      case 'rcs':
        return numbers(basis.variable).map((x) => rcsBasis(x, basis.knots, basis.index));
      case 'visit':
        throw new Error('no repeated outcomes here');
    }
  };
  const product = (bases: readonly Basis[], centring: boolean): Float64Array => {
    const out = new Float64Array(n).fill(1);
    for (const basis of bases) {
      const values = columnOf(basis);
      const mean = centring && 'centred' in basis && (basis.centred ?? false) ? average(values) : 0;
      for (let i = 0; i < n; i++) out[i]! *= values[i]! - mean;
    }
    return out;
  };
  const [response, exposure] = ((): [Response, Float64Array | null] => {
    switch (outcome.kind) {
      case 'continuous':
        return [{ kind: 'continuous', y: numbers(outcome.variable) }, null];
      case 'binary':
        return [{ kind: 'binary', events: numbers(outcome.variable), trials: null }, null];
      case 'binary-grouped':
        return [{ kind: 'binary', events: numbers(outcome.events), trials: weights }, null];
      case 'count':
        return [
          { kind: 'count', y: numbers(outcome.variable) },
          outcome.exposure === null ? null : numbers(outcome.exposure).map(Math.log),
        ];
      case 'ordinal':
        return [
          { kind: 'ordinal', level: levels(outcome.variable, outcome.levels), levels: outcome.levels.length },
          null,
        ];
      case 'time-to-event':
        return [
          {
            kind: 'time-to-event',
            time: numbers(outcome.time),
            event: numbers(outcome.event),
            entry: outcome.entry === null ? null : numbers(outcome.entry),
            stratum: null,
          },
          null,
        ];
      case 'repeated':
        throw new Error('no repeated outcomes here');
    }
  })();
  return {
    n,
    columns: analysis.columns.map((column) => product(column.product, true)),
    terms: analysis.columns.map(({ term }) => term),
    response,
    offset: exposure,
    treatmentMeans: analysis.columns.flatMap((column) =>
      column.role === 'treatment' ? [average(product(column.product, false))] : [],
    ),
  };
}
