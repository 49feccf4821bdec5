/**
 * A run as a pure coroutine: it yields rounds of tasks, receives every answer of the round, and returns
 * the analyses' results. It knows nothing of networks, files or clocks; driven from the journal it gives
 * the same result whenever and however often it is replayed.
 */
import type { FactorLevels } from '@concordat/proto/concordat/v1/site.ts';
import { codeKey, codeNumber } from '../plan/codes.ts';
import { expandPlan, undeclaredFactors } from '../plan/expand.ts';
import type { AnalysisResult } from '../plan/result-types.ts';
import type { WrittenPlan } from '../plan/schema.ts';
import type { Analysis, Code, ExpandedPlan } from '../plan/types.ts';
import { toHex } from '../wire/digest.ts';
import { codeOf, levelOf } from '../wire/levels.ts';

import { missing, type SiteAnswer, type SiteState } from './answers.ts';
import { OneStageRun } from './one-stage.ts';
import type { Round, RoundAnswers, RunTask } from './rounds.ts';
import { analysisResult, failedAnalysis, type StudyAnswer } from './results.ts';

export interface RunInput {
  readonly plan: WrittenPlan;
  /** In the roster's order, which is the order of every sum and table. */
  readonly studies: readonly string[];
  readonly offer: RunTask['payload'];
}

export interface RunOutcome {
  readonly plan: ExpandedPlan;
  readonly analyses: Readonly<Record<string, AnalysisResult>>;
  readonly sites: readonly SiteState[];
}

export function* runProgram(input: RunInput): Generator<Round, RunOutcome, RoundAnswers> {
  const written = input.plan;
  const offers = input.studies.map((study) => ({ study, analysis: '', payload: input.offer }));
  const accepted = yield { round: 0, name: 'offer', tasks: offers };

  const sites: SiteState[] = input.studies.map((study, i) =>
    siteOf(study, accepted[i] ?? { kind: 'unreachable' }),
  );
  let taking = input.studies.filter((_, i) => sites[i]?.status === 'answered');
  const leave = (study: string, answer: SiteAnswer): void => {
    sites[input.studies.indexOf(study)] = { study, ...missing(answer) };
    taking = taking.filter((other) => other !== study);
  };

  let agreed: Readonly<Record<string, readonly Code[]>> = {};
  const variables = undeclaredFactors(written);
  if (variables.length > 0 && taking.length > 0) {
    const answers = yield {
      round: 1,
      name: 'factor levels',
      tasks: taking.map((study) => ({
        study,
        analysis: '',
        payload: { $case: 'factorLevelsQuestion', value: { variables: [...variables] } },
      })),
    };
    const levels: FactorLevels[] = [];
    taking.forEach((study, i) => {
      const answer = answers[i] ?? { kind: 'unreachable' };
      if (answer.kind === 'reply' && answer.payload.$case === 'factorLevels')
        levels.push(answer.payload.value);
      else leave(study, answer);
    });
    agreed = agreeLevels(variables, levels);
  }
  const plan = expandPlan(written, agreed);

  const agreedLevels = variables.map((variable) => ({
    variable,
    levels: (agreed[variable] ?? []).map(levelOf),
  }));
  const asked = plan.analyses.filter((analysis) => analysis.unsupported === null);
  const studies = taking;
  const questions = studies.flatMap((study) =>
    asked.map((analysis): RunTask => ({
      study,
      analysis: analysis.id,
      payload:
        analysis.approach === 'two-stage'
          ? { $case: 'stageOneQuestion', value: { agreedLevels } }
          : { $case: 'entryQuestion', value: { agreedLevels } },
    })),
  );
  const answers = questions.length > 0 ? yield { round: 2, name: 'stage one', tasks: questions } : [];

  const answered = new Map(
    questions.map(({ study, analysis }, i) => [JSON.stringify([study, analysis]), answers[i]]),
  );
  const answerOf = (study: string, analysis: Analysis): SiteAnswer => {
    const answer = answered.get(JSON.stringify([study, analysis.id]));
    if (answer !== undefined) return answer;
    const site = sites[input.studies.indexOf(study)];
    return site?.reason === undefined || site.status === 'answered'
      ? { kind: 'unreachable' }
      : { kind: 'absent', status: site.status, reason: site.reason };
  };
  const answersTo = (analysis: Analysis): readonly StudyAnswer[] =>
    input.studies.map((study) => ({ study, answer: answerOf(study, analysis) }));

  let round = 3;
  const fits = asked.flatMap((analysis) =>
    analysis.approach === 'one-stage'
      ? [new OneStageRun(plan, analysis, answersTo(analysis), agreedLevels)]
      : [],
  );
  for (;;) {
    const open = fits.filter((fit) => !fit.finished);
    if (open.length === 0) break;
    const tasks = open.flatMap((fit) => fit.tasks());
    const given: RoundAnswers = yield { round: round++, name: 'one stage', tasks };
    let at = 0;
    for (const fit of open) at = fit.take(given, at);
  }

  const analyses = Object.fromEntries(
    plan.analyses.map((analysis) => [
      analysis.id,
      analysis.unsupported !== null
        ? failedAnalysis(plan, analysis, { code: 'unsupported', message: analysis.unsupported })
        : analysis.approach === 'two-stage'
          ? analysisResult(plan, analysis, answersTo(analysis))
          : fits.find((fit) => fit.analysis === analysis)!.result(),
    ]),
  );
  for (const study of studies) {
    const given = asked.map((analysis) => answerOf(study, analysis));
    const first = given[0];
    if (first === undefined || given.some(isEstimate)) continue;
    if (given.every(({ kind }) => kind === 'unreachable')) leave(study, first);
    else
      sites[input.studies.indexOf(study)] = {
        ...sites[input.studies.indexOf(study)],
        study,
        ...missing(first),
      };
  }

  yield {
    round,
    name: 'close',
    tasks: taking.map((study) => ({ study, analysis: '', payload: { $case: 'runClosed', value: {} } })),
  };
  return { plan, analyses, sites };
}

function isEstimate(answer: SiteAnswer): boolean {
  return (
    answer.kind === 'reply' &&
    (answer.payload.$case === 'stageOneEstimate' || answer.payload.$case === 'oneStageEntry')
  );
}

function siteOf(study: string, answer: SiteAnswer): SiteState {
  if (answer.kind === 'reply' && answer.payload.$case === 'planAccepted') {
    const { policyDigest, openPolicy } = answer.payload.value;
    return { study, status: 'answered', policy: { sha256: toHex(policyDigest), open: openPolicy } };
  }
  return { study, ...missing(answer) };
}

/**
 * The levels that stage one uses: the union over the sites, numbers in order and before text, text by code
 * point; the first is the reference.
 */
function agreeLevels(
  variables: readonly string[],
  answers: readonly FactorLevels[],
): Record<string, readonly Code[]> {
  return Object.fromEntries(
    variables.map((variable, i) => {
      const codes = answers.flatMap((answer) => (answer.variables[i]?.levels ?? []).map(codeOf));
      // A column of numbers at one site may be text at another, where one of its values is.
      const byKey = new Map(codes.map((code) => [codeKey(code), codeNumber(code) ?? code]));
      return [variable, [...byKey.values()].toSorted(byCode)];
    }),
  );
}

function byCode(a: Code, b: Code): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return a < b ? -1 : 1;
}
