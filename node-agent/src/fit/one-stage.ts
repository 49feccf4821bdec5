/**
 * A study's part of a one-stage analysis: its entry, then its contribution to each question. Between questions the
 * worker keeps the analysis set and its objective, so that a question costs a pass over columns in memory.
 */
import { Diagnosis } from '@concordat/proto/concordat/v1/site.ts';
import { carriers } from '@concordat/shared/one-stage/carriers.ts';
import { siteEntry } from '@concordat/shared/one-stage/entry.ts';
import type { Scaling } from '@concordat/shared/models/blocks.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import type { Answered } from '../data/crossed.ts';
import { buildAnalysisSet, setDigest, type AnalysisSet } from '../data/design.ts';
import { loadTable } from '../data/load.ts';
import type { Draft, Evidence, StudyQuestion, StudySource } from './draft.ts';
import { evidenceOf, readRecords, type Records } from './records.ts';
import { objectiveOf } from './shards.ts';
import { countsOf, DIAGNOSIS } from './stage-one.ts';

/** An analysis that is under way. */
export interface OpenAnalysis {
  readonly spec: OneStageSpec;
  readonly set: AnalysisSet;
  readonly evidence: Evidence;
  /** Scaling (JSON) → the study's side of the fit. */
  answer: { readonly key: string; readonly ask: (ask: Ask) => Float64Array } | null;
}

/**
 * Numbers that the analyses kept may hold (512 MB), the latest aside: agents that share a process have many small ones.
 * What was asked about longest ago goes first, and is read again where it is asked about again.
 */
const KEPT = 2 ** 26;
const open = new Map<string, OpenAnalysis>();

export function openAnalysis(
  source: StudySource,
  plan: ExpandedPlan,
  analysis: Analysis,
  records: Records,
  answered?: Answered,
): OpenAnalysis {
  const set = buildAnalysisSet(plan, analysis, records.table);
  const opened: OpenAnalysis = {
    spec: oneStageSpec(plan, analysis),
    set,
    evidence: {
      ...evidenceOf(source, plan, analysis, records, set, answered),
      set: setDigest(set),
    },
    answer: null,
  };
  keep(keyOf(source, plan, analysis.id), opened);
  return opened;
}

function keep(key: string, opened: OpenAnalysis): void {
  open.delete(key);
  open.set(key, opened);
  let held = 0;
  for (const [other, { set }] of [...open].toReversed()) {
    held += set.data.n * (set.data.columns.length + 2);
    if (held > KEPT && other !== key) open.delete(other);
  }
}

const keyOf = (source: StudySource, plan: ExpandedPlan, analysis: string): string =>
  JSON.stringify([source, plan, analysis]);

/** What the study brings into the analysis; a failure where it can bring nothing. */
export function draftEntry(
  plan: ExpandedPlan,
  { spec, set, evidence }: OpenAnalysis,
  ownEstimates: boolean,
): Draft {
  const counts = countsOf(plan, set, ownEstimates);
  const outcome = siteEntry(spec, set.data);
  if (outcome.status === 'excluded') {
    return {
      payload: { $case: 'stageOneFailure', value: { diagnosis: DIAGNOSIS[outcome.code], terms: [], counts } },
      evidence,
    };
  }
  const { entry, diagnosis } = outcome;
  const own = ownEstimates ? entry.own : null;
  return {
    payload: {
      $case: 'oneStageEntry',
      value: {
        counts,
        means: [...entry.means],
        deviations: [...entry.deviations],
        estimable: own === null ? [] : [...own.estimable],
        estimates: own === null ? [] : [...own.estimates],
        vcov: own === null ? [] : [...own.vcov],
        diagnosis: diagnosis === null ? Diagnosis.DIAGNOSIS_UNSPECIFIED : DIAGNOSIS[diagnosis.code],
      },
    },
    evidence,
  };
}

/** The study's contribution to one question. */
export async function answerObjective(
  question: Extract<StudyQuestion, { kind: 'objective' }>,
): Promise<Draft> {
  const { source, plan, scaling, ask } = question;
  const key = keyOf(source, plan, question.analysis);
  const analysis = plan.analyses.find(({ id }) => id === question.analysis)!;
  let opened = open.get(key);
  if (opened === undefined) {
    const records = await readRecords(source, () =>
      loadTable(
        source.data,
        plan.participants === 'common' ? plan : { ...plan, analyses: [analysis] },
        source.map,
      ),
    );
    opened = openAnalysis(source, plan, analysis, records);
  } else keep(key, opened);
  const scaled = JSON.stringify([[...scaling.centre], [...scaling.scale]]);
  if (opened.answer?.key !== scaled) {
    const { spec, set } = opened;
    opened.answer = {
      key: scaled,
      ask: oneStageModels[spec.kind].study(spec, set.data, scaling, objectiveOf),
    };
  }
  const values = opened.answer.ask(ask);
  return {
    payload: { $case: 'objectiveValue', value: { values: [...values] } },
    evidence: withCarriers(withoutKeys(opened.evidence), opened, scaling, ask),
  };
}

/** Twice the shipped least number: more than that need not be counted. */
const ENOUGH = 40;

function withCarriers(
  evidence: Evidence,
  { spec, set }: OpenAnalysis,
  scaling: Scaling,
  { theta, objective }: Ask,
): Evidence {
  if (evidence.kind !== 'analysis-set' || objective === 'study-effects') return evidence;
  const count = carriers(spec, set.data, scaling, theta, ENOUGH);
  return { ...evidence, facts: { ...evidence.facts, carriers: count } };
}

/** The ledger has them from the entry, and they are many. */
function withoutKeys(evidence: Evidence): Evidence {
  return evidence.kind === 'analysis-set' && evidence.members != null
    ? { ...evidence, members: { ...evidence.members, keys: null, subjects: null } }
    : evidence;
}
