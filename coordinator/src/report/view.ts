import type {
  AnalysisResult,
  Heterogeneity,
  PooledTerm,
  Result,
  StudyResult,
  TwoStageResult,
} from '@concordat/shared/plan/result-types.ts';
import { hasEvents } from '@concordat/shared/plan/design.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { count, NONE, plural } from './format.ts';

/** All that the report and the figures are made of. */
export interface ReportInput {
  readonly result: Result;
  readonly plan: ExpandedPlan;
  /** The plan file as written. */
  readonly planText: string;
}

/** One analysis: as planned and as it came out. */
export interface AnalysisView {
  readonly planned: Analysis;
  readonly outcome: AnalysisResult;
}

/** The plan's analyses that have an entry in the result, in the plan's order. */
export function analysisViews({ plan, result }: ReportInput): AnalysisView[] {
  return plan.analyses.flatMap((planned) => {
    const outcome = Object.hasOwn(result.analyses, planned.id) ? result.analyses[planned.id] : undefined;
    return outcome === undefined ? [] : [{ planned, outcome }];
  });
}

/** Studies whose estimates are in the pooled one. */
export function includedStudies(outcome: AnalysisResult): StudyResult[] {
  return outcome.studies.filter((study) => study.status === 'included');
}

/** An arm as the result's counts name it, and as a table's head does. */
export interface Arm {
  readonly key: string;
  readonly head: string;
}

/** Active arms first, then control; one column of everyone without a treatment. */
export function arms(plan: ExpandedPlan): Arm[] {
  const { treatment } = plan;
  if (treatment === null) return [{ key: 'total', head: 'All' }];
  if (treatment.active.length === 1) {
    return [
      { key: 'active', head: 'Active' },
      { key: 'control', head: 'Control' },
    ];
  }
  return [
    ...treatment.active.map((code) => ({ key: String(code), head: `Arm ${code}` })),
    { key: 'control', head: 'Control' },
  ];
}

function armCount(counts: Readonly<Record<string, number>> | null | undefined, key: string): number | null {
  return counts != null && Object.hasOwn(counts, key) ? (counts[key] ?? null) : null;
}

/** Events of each arm that has participants; empty where they were not released, or the outcome has none. */
export function armEvents(study: StudyResult, plan: ExpandedPlan): number[] {
  if (!hasEvents(plan)) return [];
  return arms(plan).flatMap(({ key }) =>
    (armCount(study.participants, key) ?? 0) > 0 ? (armCount(study.events, key) ?? []) : [],
  );
}

/** `40/101` where the outcome has events, `101` where it has none, an en dash for what was not released. */
export function armCell(study: StudyResult, arm: Arm, plan: ExpandedPlan): string {
  const participants = armCount(study.participants, arm.key);
  if (!hasEvents(plan)) return count(participants);
  const events = armCount(study.events, arm.key);
  return participants === null && events === null ? NONE : `${count(events)}/${count(participants)}`;
}

/** Sum over arms; null where any of it was not released. */
function total(study: StudyResult, what: 'participants' | 'events', plan: ExpandedPlan): number | null {
  let sum = 0;
  for (const { key } of arms(plan)) {
    const value = armCount(study[what], key);
    if (value === null) return null;
    sum += value;
  }
  return sum;
}

/** The heterogeneity of one pooled term: the analysis's own, or from the pooling of that term by itself. */
export function heterogeneityOf(outcome: TwoStageResult, term: string): Heterogeneity | null {
  if (outcome.heterogeneity_term === term || outcome.heterogeneity_term === null)
    return outcome.heterogeneity;
  return outcome.separate.find((entry) => entry.term === term)?.heterogeneity ?? null;
}

/** Terms that stage two pooled, without across-trial terms and contrasts, in the result's order. */
export function pooledTerms(outcome: TwoStageResult, planned: Analysis): PooledTerm[] {
  return outcome.pooled.filter(({ term }) => planned.pool.terms.includes(term));
}

/** Participants, events and studies of the pooled estimate; parts that a site did not release are left unsaid. */
export function basis(outcome: AnalysisResult, plan: ExpandedPlan): string {
  const included = includedStudies(outcome);
  const sum = (what: 'participants' | 'events'): number | null =>
    included.reduce<number | null>((so, study) => {
      const own = total(study, what, plan);
      return so === null || own === null ? null : so + own;
    }, 0);
  const participants = sum('participants');
  const events = hasEvents(plan) ? sum('events') : null;
  return [
    plural(included.length, 'study', 'studies'),
    ...(participants === null ? [] : [plural(participants, 'participant')]),
    ...(events === null ? [] : [plural(events, 'event')]),
  ].join(', ');
}
