/**
 * Answers the questions of one run from the site's own records: reads, builds each analysis set, fits,
 * and drafts what the gate may release. Runs in a worker thread.
 */
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { checkRelease, checkTogether } from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { inPopulation, selectRows } from '../data/analysis-set.ts';
import { crossedBy, crossedId, variablesCrossed, type CrossedSet } from '../data/crossed.ts';
import { divisionCells, participantsOf } from '../data/division.ts';
import { factorLevels, levelsTable } from '../data/levels.ts';
import { loadTable, loadVariables } from '../data/load.ts';
import { answerObjective, draftEntry, openAnalysis } from './one-stage.ts';
import { evidenceOf, membersOfSet, readRecords, type Records } from './records.ts';
import { draftStageOne } from './stage-one.ts';
import {
  problemDraft,
  type Draft,
  type Evidence,
  type StudyAnswer,
  type StudyQuestion,
  type StudySource,
} from './draft.ts';

export async function answer(question: StudyQuestion): Promise<StudyAnswer> {
  const problems: string[] = [];
  const attempt = async (work: () => Draft | Promise<Draft>, evidence?: () => Evidence): Promise<Draft> => {
    try {
      return await work();
    } catch (error) {
      problems.push(error instanceof ConcordatError ? error.describe() : 'internal error');
      return problemDraft(error, evidence?.());
    }
  };
  if (question.kind === 'levels') {
    return {
      drafts: [await attempt(() => answerLevels(question.source, question.plan, question.variables))],
      problems,
    };
  }
  const { plan } = question;
  if (question.kind === 'objective') {
    return { drafts: [await attempt(() => answerObjective(question))], problems };
  }
  const { answered, policy } = question;
  const asked = plan.analyses.filter(({ id }) => question.analyses.includes(id));
  const beside = [
    ...answered.sets.map(({ crossed }) => crossed),
    ...asked.map((own) => crossedBy(plan, own)),
  ];
  const others = beside.flatMap(variablesCrossed);
  const whole = await attemptTable(question.source, plan, question.analyses, others);
  const drafts: Draft[] = [];
  /** With the answers before this one, which leave before it. */
  const sets = [...answered.sets];
  for (const id of question.analyses) {
    drafts.push(
      await attempt(async () => {
        const analysis = plan.analyses.find((candidate) => candidate.id === id);
        if (analysis === undefined) throw new ConcordatError('plan/inconsistent', 'no such analysis');
        const { source } = question;
        const records = whole ?? (await loadFor(source, plan, [id], others));
        const own = policy.per_trial_estimates;
        const snapshot = answered.snapshot ?? records.snapshot?.id ?? null;
        const before = { snapshot, sets };
        return attempt(
          () =>
            analysis.approach === 'one-stage'
              ? draftEntry(plan, openAnalysis(source, plan, analysis, records, before), own)
              : draftStageOne(plan, analysis, records.table, own, (set) =>
                  evidenceOf(source, plan, analysis, records, set, before),
                ),
          () => selection(source, plan, analysis, records),
        );
      }),
    );
    sets.push(...crossedIn(drafts.at(-1)!, policy));
  }
  return { drafts, problems };
}

/** What an answer will have told, where no rule refuses it. */
function crossedIn({ payload, evidence }: Draft, policy: Policy): CrossedSet[] {
  if (evidence.kind !== 'analysis-set') return [];
  if (payload.$case === 'stageOneEstimate' && !policy.per_trial_estimates) return [];
  const { facts, members, crossing } = evidence;
  if (checkRelease(facts, policy).length + checkTogether(facts, policy).length > 0) return [];
  if (members?.analysis == null || crossing === undefined) return [];
  return [{ id: crossedId(crossing.crossed, members), crossed: crossing.crossed, rows: members.analysis }];
}

/** Every analysis from one reading; null where that fails, and then each analysis reads only what it needs. */
async function attemptTable(
  source: StudySource,
  plan: ExpandedPlan,
  analyses: readonly string[],
  others: readonly string[],
): Promise<Records | null> {
  if (analyses.length === 1) return null;
  try {
    return await loadFor(source, plan, analyses, others);
  } catch {
    return null;
  }
}

/** @param others variables of other analyses, where the records have them */
async function loadFor(
  source: StudySource,
  plan: ExpandedPlan,
  analyses: readonly string[],
  others: readonly string[],
): Promise<Records> {
  const of = plan.analyses.filter(({ id }) => analyses.includes(id) || plan.participants === 'common');
  const wanted = { ...plan, analyses: of };
  const unreadable = new Set<string>();
  const records = await readRecords(source, async () => {
    const table = await loadTable(source.data, wanted, source.map);
    const more = [...new Set(others)].filter((variable) => !table.columns.has(variable));
    const read = (variables: readonly string[]) => loadVariables(source.data, variables, source.map);
    const found =
      more.length === 0
        ? []
        : await read(more).then(
            (all) => [all],
            // One of them is not what it was: which?
            () =>
              Promise.all(
                more.map((variable) =>
                  read([variable]).catch(() => {
                    unreadable.add(variable);
                    return null;
                  }),
                ),
              ),
          );
    const columns = new Map([...found.flatMap((own) => [...(own?.columns ?? [])]), ...table.columns]);
    return { ...table, columns };
  });
  return { ...records, unreadable };
}

async function answerLevels(
  source: StudySource,
  plan: ExpandedPlan,
  variables: readonly string[],
): Promise<Draft> {
  const records = await readRecords(source, () => levelsTable(source.data, plan, variables, source.map));
  const { table } = records;
  const within = inPopulation(plan, table);
  return {
    payload: { $case: 'factorLevels', value: { variables: [] } },
    evidence: {
      kind: 'levels',
      variables: factorLevels(plan, variables, table, within),
      participants: participantsOf(plan, table)((row) => within[row] === 1),
      cells: divisionCells({ ...plan, treatment: null }, table, 0),
      members: membersOfSet(source, plan, records, { within, rows: null }),
    },
  };
}

/** None where no row was selected yet: a column is missing, whatever the rows hold. */
function selection(source: StudySource, plan: ExpandedPlan, analysis: Analysis, records: Records): Evidence {
  try {
    const { table } = records;
    const { rows, within, leftOut } = selectRows(plan, analysis, table);
    const selected = new Set(rows);
    return {
      kind: 'selected-rows',
      participants: participantsOf(plan, table)((row) => selected.has(row)),
      cells: divisionCells(plan, table, leftOut.other_treatment),
      members: membersOfSet(source, plan, records, { within, rows }),
    };
  } catch {
    return { kind: 'none' };
  }
}
