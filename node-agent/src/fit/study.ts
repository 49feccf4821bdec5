/**
 * Answers the questions of one run from the site's own records: reads, builds each analysis set, fits,
 * and drafts what the gate may release. Runs in a worker thread.
 */
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { selectRows } from '../data/analysis-set.ts';
import { factorLevels } from '../data/levels.ts';
import type { Table } from '../data/read.ts';
import { loadTable } from '../data/load.ts';
import { answerObjective, draftEntry, openAnalysis } from './one-stage.ts';
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
  const whole = await attemptTable(question.source, plan, question.analyses);
  const drafts: Draft[] = [];
  for (const id of question.analyses) {
    drafts.push(
      await attempt(async () => {
        const analysis = plan.analyses.find((candidate) => candidate.id === id);
        if (analysis === undefined) throw new ConcordatError('plan/inconsistent', 'no such analysis');
        const table = whole ?? (await loadFor(question.source, plan, [id]));
        return attempt(
          () =>
            analysis.approach === 'one-stage'
              ? draftEntry(plan, openAnalysis(question.source, plan, analysis, table), question.ownEstimates)
              : draftStageOne(plan, analysis, table, question.ownEstimates),
          () => selection(plan, analysis, table),
        );
      }),
    );
  }
  return { drafts, problems };
}

/** Every analysis from one reading; null where that fails, and then each analysis reads only what it needs. */
async function attemptTable(
  source: StudySource,
  plan: ExpandedPlan,
  analyses: readonly string[],
): Promise<Table | null> {
  if (analyses.length === 1) return null;
  try {
    return await loadFor(source, plan, analyses);
  } catch {
    return null;
  }
}

function loadFor(source: StudySource, plan: ExpandedPlan, analyses: readonly string[]): Promise<Table> {
  const wanted = { ...plan, analyses: plan.analyses.filter(({ id }) => analyses.includes(id)) };
  return loadTable(source.data, wanted, source.map);
}

async function answerLevels(
  source: StudySource,
  plan: ExpandedPlan,
  variables: readonly string[],
): Promise<Draft> {
  const found = await factorLevels(source.data, plan, variables, source.map);
  return {
    payload: { $case: 'factorLevels', value: { variables: [] } },
    evidence: { kind: 'levels', variables: found },
  };
}

/** None where no row was selected yet: a column is missing, whatever the rows hold. */
function selection(plan: ExpandedPlan, analysis: Analysis, table: Table): Evidence {
  try {
    return { kind: 'selected-rows', participants: selectRows(plan, analysis, table).rows.length };
  } catch {
    return { kind: 'none' };
  }
}
