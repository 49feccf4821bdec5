import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Result, TwoStageResult } from '@concordat/shared/plan/result-types.ts';
import { honest, PLAN } from '@concordat/shared/runs/testing.ts';
import { recompute, type Transcript, type TranscriptTask } from './recompute.ts';
import { ONE_STAGE_PLAN, oneStageSites, played } from './testing.ts';

const told = (transcript: Transcript, result: Result): string[] =>
  recompute(transcript, result).findings.map(({ kind, at, path }) =>
    [kind, at === null ? '' : `${at.round} ${at.study} ${at.analysis}`.trim(), path]
      .filter((part) => part !== '')
      .join(' | '),
  );

/** The result with the value at a path of keys put in place of its own. */
function published(result: Result, path: readonly (string | number)[], value: unknown): Result {
  const copy = structuredClone(result) as unknown;
  let part = copy as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) part = part[step] as typeof part;
  part[path.at(-1)!] = value;
  return copy as Result;
}

const isAt =
  (round: number, study: string, analysis = '') =>
  (task: TranscriptTask): boolean =>
    task.round === round && task.study === study && task.analysis === analysis;

/** The transcript with one of its tasks changed. */
const changed = (
  transcript: Transcript,
  which: (task: TranscriptTask) => boolean,
  change: (task: TranscriptTask) => TranscriptTask,
): Transcript => {
  assert.equal(transcript.tasks.filter(which).length, 1);
  return { ...transcript, tasks: transcript.tasks.map((task) => (which(task) ? change(task) : task)) };
};

for (const [name, run] of [
  ['two stages', () => played(PLAN)],
  ['one stage', () => played(ONE_STAGE_PLAN, oneStageSites())],
  [
    'a site without an answer',
    () => played(PLAN, (study, task) => (study === 'B' ? null : honest(study, task))),
  ],
] as const) {
  test(`an honest run gives its result again, with nothing to tell: ${name}`, () => {
    const { transcript, result } = run();
    const again = recompute(transcript, result);
    assert.deepEqual(again.findings, []);
    assert.deepEqual(again.result, result);
  });
}

test('a number of the result that is changed in its last bit is found where it is', () => {
  const { transcript, result } = played(PLAN);
  const path = ['analyses', 'effect', 'pooled', 0, 'estimate'];
  const own = (result.analyses['effect'] as TwoStageResult).pooled[0]!.estimate!;
  const other = own + 2 ** -51;
  assert.notEqual(other, own);
  const { findings } = recompute(transcript, published(result, path, other));
  assert.deepEqual(
    findings.map(({ message }) => message),
    [`analyses.effect.pooled[0].estimate: published ${other}, messages give ${own}`],
  );
});

test('whatever else of the result is changed is found where it is', () => {
  const { transcript, result } = played(PLAN);
  for (const [path, value, where] of [
    [['plan', 'sha256'], 'ab'.repeat(32), 'plan.sha256'],
    [['run', 'id'], 'ab'.repeat(16), 'run.id'],
    [['run', 'policy'], null, 'run.policy'],
    [['run', 'sites', 1, 'status'], 'refused', 'run.sites[1].status'],
    [['analyses', 'effect', 'status'], 'failed', 'analyses.effect.status'],
    [
      ['analyses', 'effect', 'studies', 2, 'participants', 'active'],
      1000,
      'analyses.effect.studies[2].participants.active',
    ],
    [['analyses', 'effect', 'warnings'], [], 'analyses.effect.warnings[0]'],
    [['analyses', 'further'], result.analyses['effect'], 'analyses.further'],
  ] as const)
    assert.deepEqual(told(transcript, published(result, path, value)), [`result-differs | ${where}`]);
  const { adjusted: _adjusted, ...without } = result.analyses;
  assert.deepEqual(told(transcript, { ...result, analyses: without }), [
    'result-differs | analyses.adjusted',
  ]);
});

test('when a run began and ended, and by which software, is not in its messages', () => {
  const { transcript, result } = played(PLAN);
  const run = { ...result.run, started: '2020-01-01T00:00:00Z', software: 'concordat 9' };
  assert.deepEqual(told(transcript, { ...result, run }), []);
});

test('a question with other parameters is located, and is no honest optimiser’s', () => {
  const { transcript, result } = played(ONE_STAGE_PLAN, oneStageSites());
  const asked = changed(transcript, isAt(4, 'B', 'fit'), (task) => {
    const message = structuredClone(task.message);
    assert.equal(message.payload?.$case, 'objectiveQuestion');
    if (message.payload?.$case === 'objectiveQuestion') message.payload.value.theta[1] = 99;
    return { ...task, message };
  });
  const { findings } = recompute(asked, result);
  assert.equal(findings.length, 1);
  assert.deepEqual([findings[0]!.kind, findings[0]!.path], ['question-differs', 'payload.value.theta[1]']);
  assert.match(
    findings[0]!.message,
    /^round 4, study B, analysis fit: a question that no honest optimiser would have asked/,
  );
});

test('a question under another roster, plan or run is located', () => {
  const { transcript, result } = played(PLAN);
  for (const field of ['rosterDigest', 'planDigest', 'run'] as const) {
    const asked = changed(transcript, isAt(2, 'A', 'effect'), (task) => ({
      ...task,
      message: { ...task.message, header: { ...task.message.header!, [field]: new Uint8Array(32) } },
    }));
    assert.deepEqual(told(asked, result), [`question-differs | 2 A effect | header.${field}`]);
  }
});

test('an offer of another plan to one site is located', () => {
  const { transcript, result } = played(PLAN);
  const asked = changed(transcript, isAt(0, 'C'), (task) => {
    const message = structuredClone(task.message);
    if (message.payload?.$case === 'planOffer') message.payload.value.plan += '# more\n';
    return { ...task, message };
  });
  assert.deepEqual(told(asked, result), ['question-differs | 0 C | payload.value.plan']);
});

test('a question that the log lacks, and what its loss changes, are located', () => {
  const { transcript, result } = played(PLAN);
  const tasks = transcript.tasks.filter((task) => !isAt(2, 'B', 'effect')(task));
  const found = told({ ...transcript, tasks }, result);
  assert.equal(found[0], 'question-missing | 2 B effect');
  assert.ok(found.includes('result-differs | analyses.effect.studies[1].status'));
  assert.ok(found.every((line) => !line.includes('adjusted')));
});

test('a question that the run never asks, or asks twice, is located', () => {
  const { transcript, result } = played(PLAN);
  const [first] = transcript.tasks;
  const more = [...transcript.tasks, { ...first!, round: 9 }, first!];
  assert.deepEqual(told({ ...transcript, tasks: more }, result), [
    'question-unasked | 0 A',
    'question-unasked | 9 A',
  ]);
});

test('an answer that is left out, or changed, shows in the result', () => {
  const { transcript, result } = played(PLAN);
  const dropped = changed(transcript, isAt(2, 'B', 'effect'), (task) => ({
    ...task,
    answer: { kind: 'unreachable' },
  }));
  assert.ok(told(dropped, result).includes('result-differs | analyses.effect.studies[1].status'));
  const other = changed(transcript, isAt(2, 'B', 'effect'), (task) => {
    const answer = structuredClone(task.answer);
    if (answer.kind === 'reply' && answer.payload.$case === 'stageOneEstimate')
      answer.payload.value.estimates[1] = 0;
    return { ...task, answer };
  });
  const found = told(other, result);
  assert.ok(found.includes('result-differs | analyses.effect.studies[1].estimates[1].estimate'));
  assert.ok(found.includes('result-differs | analyses.effect.pooled[0].estimate'));
});

test('an answer that counted, and that the plan’s form rules out, is located', () => {
  const { transcript, result } = played(PLAN);
  const short = changed(transcript, isAt(2, 'B', 'effect'), (task) => {
    const answer = structuredClone(task.answer);
    if (answer.kind === 'reply' && answer.payload.$case === 'stageOneEstimate')
      answer.payload.value.estimates.pop();
    return { ...task, answer };
  });
  assert.equal(told(short, result)[0], 'answer-invalid | 2 B effect');
});

test('of a plan that cannot be read, there is no run', () => {
  const { transcript, result } = played(PLAN);
  const again = recompute({ ...transcript, plan: 'plan: [' }, result);
  assert.equal(again.result, null);
  assert.deepEqual(
    again.findings.map(({ kind }) => kind),
    ['not-replayable'],
  );
});
