/** Transcripts of runs that were played by the book, for tests to change. */
import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { Diagnosis, SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { combineEntries, siteEntry } from '@concordat/shared/one-stage/entry.ts';
import { oneStageModels } from '@concordat/shared/one-stage/registry.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import { studyData, type Records } from '@concordat/shared/one-stage/testing.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { validateResult } from '@concordat/shared/plan/validate-result.ts';
import { assemble } from '@concordat/shared/runs/assemble.ts';
import { runProgram } from '@concordat/shared/runs/program.ts';
import { coordinator, honest, roster, STUDIES, type Payload } from '@concordat/shared/runs/testing.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import { toldQuestion } from '@concordat/shared/wire/one-stage.ts';
import { signMessage } from '@concordat/shared/wire/signing.ts';
import type { Transcript, TranscriptTask } from './recompute.ts';

/** What a site answers to a task; null for no answer in time. */
export type Answering = (study: string, task: CoordinatorMessage) => Payload | null;

export const ONE_STAGE_PLAN = `plan: 1
id: pooled
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: binary, variable: y}
analyses:
  - {id: fit, approach: one-stage, model: {family: binomial}}
`;

/** Played to its end, with the result as its file holds it. */
export function played(
  plan: string,
  answering: Answering = honest,
): { readonly transcript: Transcript; readonly result: Result } {
  const run = new Uint8Array(16).fill(7);
  const tasks: TranscriptTask[] = [];
  const sites = Roster.decode(roster);
  const program = runProgram({
    plan: parsePlan(plan, 'the plan'),
    studies: STUDIES,
    offer: { $case: 'planOffer', value: planOffer(plan, sites) },
  });
  let step = program.next();
  while (step.done !== true) {
    const { round, tasks: asked } = step.value;
    const answers = asked.map(({ study, analysis, payload }) => {
      const header = {
        study,
        run,
        analysis,
        round,
        planDigest: sha256(plan),
        rosterDigest: sha256(roster),
        attempt: 0,
        inReplyTo: new Uint8Array(0),
        checkpoint: { size: tasks.length, root: sha256('') },
      };
      const body = CoordinatorMessage.encode({ header, payload }).finish();
      const message = CoordinatorMessage.decode(body);
      const reply = answering(study, message);
      const answer: TranscriptTask['answer'] =
        reply === null
          ? { kind: 'unreachable' }
          : {
              kind: 'reply',
              payload: reply,
              bytes: {
                down: signedLength(body),
                up: signedLength(SiteMessage.encode({ header, payload: reply }).finish()),
              },
            };
      tasks.push({ round, study, analysis, message, answer });
      return answer;
    });
    step = program.next(answers);
  }
  const result: unknown = JSON.parse(
    JSON.stringify(
      assemble(step.value, plan, {
        id: toHex(run),
        started: '2026-01-01T00:00:00Z',
        finished: '2026-01-01T00:01:00Z',
        software: 'concordat 0.0.0',
      }),
    ),
  );
  validateResult(result);
  return { transcript: { run: toHex(run), plan, signature: null, roster: sites, tasks }, result };
}

const signedLength = (body: Uint8Array): number =>
  SignedMessage.encode(signMessage(coordinator, body)).finish().length;

const ROWS = 40;

/** Half in each arm; the odds of an event differ by arm and study. */
function records(study: number): Records {
  const rows = Array.from({ length: ROWS }, (_, row) => row);
  return {
    arm: rows.map((row) => row % 2),
    y: rows.map((row) => ((row * 7 + study) % 10 < 3 + study + 2 * (row % 2) ? 1 : 0)),
  };
}

/** Sites that answer `ONE_STAGE_PLAN` from small tables of their own. */
export function oneStageSites(): Answering {
  const plan = expandPlan(parsePlan(ONE_STAGE_PLAN, 'the plan'));
  const analysis = plan.analyses[0]!;
  const spec = oneStageSpec(plan, analysis);
  const sites = STUDIES.map((study, i) => {
    const data = studyData(plan, analysis, records(i));
    const entry = siteEntry(spec, data);
    if (entry.status === 'excluded') throw new Error(entry.code);
    return { study, data, entry: entry.entry };
  });
  const { scaling } = combineEntries(
    spec,
    sites.map(({ entry }) => entry),
  );
  const model = oneStageModels[spec.kind];
  const asking = new Map(sites.map(({ study, data }) => [study, model.study(spec, data, scaling)]));
  return (study, task) => {
    const { entry } = sites.find((site) => site.study === study)!;
    switch (task.payload?.$case) {
      case 'entryQuestion':
        return {
          $case: 'oneStageEntry',
          value: {
            counts: {
              participants: [ROWS / 2, ROWS / 2],
              events: [],
              notInPopulation: 0,
              otherTreatment: 0,
              missingTreatment: 0,
              missingOutcome: 0,
              missingCovariate: 0,
            },
            means: [...entry.means],
            deviations: [...entry.deviations],
            estimable: [...(entry.own?.estimable ?? [])],
            estimates: [...(entry.own?.estimates ?? [])],
            vcov: [...(entry.own?.vcov ?? [])],
            diagnosis: Diagnosis.DIAGNOSIS_UNSPECIFIED,
          },
        };
      case 'objectiveQuestion': {
        const { ask } = toldQuestion(task.payload.value, spec);
        return {
          $case: 'objectiveValue',
          value: { values: [...asking.get(study)!({ ...ask, gather: 'sum' })] },
        };
      }
      default:
        return honest(study, task);
    }
  };
}
