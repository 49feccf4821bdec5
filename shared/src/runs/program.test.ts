import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import { parsePlan } from '../plan/parse.ts';
import { validateResult } from '../plan/validate-result.ts';
import { codeOf } from '../wire/levels.ts';
import { planOffer } from '../wire/offers.ts';
import { refusal } from '../wire/refusals.ts';
import type { SiteAnswer } from './answers.ts';
import { runProgram, type RunOutcome } from './program.ts';
import type { Round, RunTask } from './rounds.ts';
import { AGREED, honest, PLAN, roster, STUDIES, type Payload } from './testing.ts';

type Answering = (task: RunTask, round: Round) => SiteAnswer;

const reply = (payload: Payload): SiteAnswer => ({ kind: 'reply', payload });
const honestly: Answering = ({ study, analysis, payload }) =>
  reply(honest(study, { header: { analysis } as never, payload }));
/** Honest but for one study in one round. */
const but =
  (study: string, name: Round['name'], answer: SiteAnswer, analysis?: string): Answering =>
  (task, round) =>
    task.study === study && round.name === name && (analysis === undefined || task.analysis === analysis)
      ? answer
      : honestly(task, round);

function play(answering: Answering, plan = PLAN): { outcome: RunOutcome; rounds: Round[] } {
  const program = runProgram({
    plan: parsePlan(plan, 'the plan'),
    studies: STUDIES,
    offer: { $case: 'planOffer', value: planOffer(plan, Roster.decode(roster)) },
  });
  const rounds: Round[] = [];
  let step = program.next();
  while (step.done !== true) {
    const round = step.value;
    rounds.push(round);
    step = program.next(round.tasks.map((task) => answering(task, round)));
  }
  const { sites, analyses } = step.value;
  validateResult({
    result: 1,
    plan: { id: 'small', sha256: '0'.repeat(64) },
    run: {
      id: '0'.repeat(32),
      started: '2026-01-01T00:00:00Z',
      finished: '2026-01-01T00:00:00Z',
      software: 'concordat 0.0.0',
      policy: null,
      sites: sites.map(({ policy: _policy, ...site }) => site),
    },
    analyses,
  });
  return { outcome: step.value, rounds };
}

const REFUSAL = reply({ $case: 'refusal', value: refusal(Rule.RULE_PARTICIPANTS, 20) });
const studiesOf = ({ rounds }: { rounds: Round[] }, name: Round['name']): string[] => [
  ...new Set(rounds.find((round) => round.name === name)?.tasks.map(({ study }) => study)),
];
const statuses = (outcome: RunOutcome, analysis: string): string[] =>
  outcome.analyses[analysis]!.studies.map(({ status, reason }) =>
    reason === undefined ? status : `${status}: ${reason.code}`,
  );

test('offer, levels, stage one, close: each site asked once a round, in the roster’s order', () => {
  const { rounds, outcome } = play(honestly);
  assert.deepEqual(
    rounds.map(({ round, name, tasks }) => [round, name, tasks.length]),
    [
      [0, 'offer', 3],
      [1, 'factor levels', 3],
      [2, 'stage one', 6],
      [3, 'close', 3],
    ],
  );
  assert.deepEqual(Object.keys(outcome.analyses), ['effect', 'adjusted']);
  for (const { status } of Object.values(outcome.analyses)) assert.equal(status, 'done');
  assert.deepEqual(
    outcome.sites.map(({ study, status }) => [study, status]),
    STUDIES.map((study) => [study, 'answered']),
  );
});

test('levels are agreed as the union of all, numbers in order before text, whoever answers first', () => {
  const { rounds, outcome } = play(honestly);
  assert.deepEqual(outcome.plan.levels['centre'], AGREED);
  for (const { payload } of rounds[2]!.tasks) {
    assert.equal(payload.$case, 'stageOneQuestion');
    if (payload.$case !== 'stageOneQuestion') continue;
    assert.deepEqual(
      payload.value.agreedLevels.map(({ variable, levels }) => [variable, levels.map(codeOf)]),
      [['centre', AGREED]],
    );
  }
});

test('a level that is a number at one site and text at another is one level', () => {
  const levels = ['2', 'x', '10'].map((value) => ({ code: { $case: 'text', value } as const }));
  const answer = reply({ $case: 'factorLevels', value: { variables: [{ variable: 'centre', levels }] } });
  const { outcome } = play(but('B', 'factor levels', answer));
  assert.deepEqual(outcome.plan.levels['centre'], [2, 10, 'south', 'x']);
});

test('a plan that declares its levels has no round for them', () => {
  const { rounds } = play(honestly, `${PLAN}levels: {centre: [2, 10, north, south]}\n`);
  assert.deepEqual(
    rounds.map(({ name }) => name),
    ['offer', 'stage one', 'close'],
  );
});

const absences: readonly (readonly [string, SiteAnswer, string])[] = [
  ['refuses', REFUSAL, 'refused: participants'],
  ['is unreachable', { kind: 'unreachable' }, 'unreachable: unreachable'],
  ['answers out of form', { kind: 'invalid', code: 'wire/length' }, 'excluded: wire/length'],
  ['answers another question', reply({ $case: 'runLeft', value: {} }), 'excluded: wire/malformed'],
  [
    'has a data problem',
    reply({ $case: 'dataProblem', value: { problem: 'PROBLEM_MALFORMED' } }),
    'excluded: data/malformed',
  ],
];
for (const [what, answer, shown] of absences) {
  for (const name of ['offer', 'factor levels'] as const) {
    test(`a site that ${what} at the ${name} is asked nothing more, and every analysis says so`, () => {
      const played = play(but('B', name, answer));
      assert.deepEqual(studiesOf(played, 'stage one'), ['A', 'C']);
      assert.deepEqual(studiesOf(played, 'close'), ['A', 'C']);
      for (const id of ['effect', 'adjusted']) {
        assert.deepEqual(statuses(played.outcome, id), ['included', shown, 'included']);
        assert.equal(played.outcome.analyses[id]!.status, 'done');
      }
      const site = played.outcome.sites[1]!;
      assert.equal(`${site.status}: ${site.reason?.code}`, shown);
    });
  }
  test(`a site that ${what} in one analysis takes part in the others`, () => {
    const { outcome } = play(but('B', 'stage one', answer, 'effect'));
    assert.deepEqual(statuses(outcome, 'effect'), ['included', shown, 'included']);
    assert.deepEqual(statuses(outcome, 'adjusted'), ['included', 'included', 'included']);
    assert.equal(outcome.sites[1]!.status, 'answered');
  });
}

test('levels of a site that left do not count', () => {
  const { outcome } = play(but('B', 'factor levels', { kind: 'unreachable' }));
  assert.deepEqual(outcome.plan.levels['centre'], [2, 'south']);
});

test('a site that answers nothing in stage one is unreachable, and is not asked to close', () => {
  const played = play(but('B', 'stage one', { kind: 'unreachable' }));
  assert.equal(played.outcome.sites[1]!.status, 'unreachable');
  assert.deepEqual(studiesOf(played, 'close'), ['A', 'C']);
});

test('fewer estimates than the plan asks for: refused where refusals are to blame, else failed', () => {
  const two = (answer: SiteAnswer): RunOutcome =>
    play((task, round) => (round.name === 'stage one' && task.study !== 'C' ? answer : honestly(task, round)))
      .outcome;
  assert.equal(two(REFUSAL).analyses['effect']!.status, 'refused');
  const failed = two({ kind: 'unreachable' }).analyses['effect']!;
  assert.equal(failed.status, 'failed');
  assert.equal(failed.reason?.code, 'too-few-studies');
});

test('without any site the run ends with every analysis failed and nothing asked', () => {
  const { outcome, rounds } = play(() => ({ kind: 'unreachable' }));
  assert.deepEqual(
    rounds.map(({ name, tasks }) => [name, tasks.length]),
    [
      ['offer', 3],
      ['close', 0],
    ],
  );
  for (const { status } of Object.values(outcome.analyses)) assert.notEqual(status, 'done');
});

test('an acceptance that says which policy is in force is kept with the site', () => {
  const { outcome } = play(honestly);
  assert.equal(outcome.sites[0]!.policy?.sha256.length, 64);
  assert.equal(outcome.sites[0]!.policy?.open, false);
});
