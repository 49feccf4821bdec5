/** What a custodian decides on the page, and what its views show. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ConcordatError } from '@concordat/shared/errors.ts';
import { CUSTODIAN, hiddenIn, tokenIn, Visitor } from '@concordat/web/testing.ts';

import {
  DIGEST,
  ESTIMATE,
  EXPLANATION,
  HELD,
  MemoryDesk,
  message,
  OFFER,
  offeredPlan,
  PLAN,
  RECORDS,
  RUN,
  start,
  STATUS,
  TASK,
  waiting,
} from './testing.ts';

test('a plan is approved once it was said to be read; the statement is signed with the key of who is signed in', async (t) => {
  const { visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const action = `${PLAN}/approve`;
  const unread = await visitor.submit(PLAN, action, { note: '' });
  assert.equal(unread.statusCode, 422);
  assert.match(unread.body, /<title>Not done/);
  assert.match(unread.body, /was not ticked/);
  assert.equal(desk.decisions.length, 0);
  const done = await visitor.submit(PLAN, action, { read: 'yes', note: ' as the board decided ' });
  assert.equal(done.statusCode, 303);
  assert.equal(done.headers.location, PLAN);
  assert.deepEqual(
    desk.decisions.map(({ decision, by }) => ({ decision, by })),
    [
      {
        decision: {
          kind: 'approve',
          plan: DIGEST,
          run: RUN,
          shown: { offer: OFFER, agreement: '12'.repeat(32), data: RECORDS },
          note: 'as the board decided',
        },
        by: CUSTODIAN,
      },
    ],
  );
  assert.match(desk.decisions.map(({ signature }) => signature).join(), /^[0-9a-f]{128}$/);
  const shown = await visitor.get(PLAN);
  assert.match(shown.body, /<title>Approved/);
  assert.doesNotMatch(shown.body, /\/approve"/);
  assert.doesNotMatch((await visitor.get(PLAN)).body, /<title>Approved/);
});

test('an approval is taken back by a refusal, also when its run is over; a template’s only while it runs', async (t) => {
  const approved = { decision: 'approved', decidedBy: 'Vera Oak' } as const;
  const { visitor, desk } = await start(
    t,
    new MemoryDesk({
      plans: [
        offeredPlan({ ...approved, decidedBy: 'template' }),
        offeredPlan({ ...approved, run: 'aa', open: false }),
        offeredPlan({ ...approved, run: 'bb', open: false, decidedBy: 'template' }),
      ],
    }),
  );
  await visitor.signIn();
  for (const at of [PLAN, `/plans/aa/${DIGEST}`]) {
    assert.doesNotMatch((await visitor.get(at)).body, /\/approve"/);
    await visitor.submit(at, `${at}/refuse`, { objection: 'disclosure' });
    assert.doesNotMatch((await visitor.get(at)).body, /\/refuse"/);
  }
  assert.deepEqual(
    desk.plans().map(({ decision }) => decision),
    ['refused', 'refused', 'approved'],
  );
  const over = (await visitor.get(`/plans/bb/${DIGEST}`)).body;
  assert.match(over, /a template of the agreement/);
  assert.doesNotMatch(over, /\/(approve|refuse)"/);
});

test('a refusal of a custodian is replaced by an approval; that of the agreement, and what was never decided, stay', async (t) => {
  const { visitor, desk } = await start(
    t,
    new MemoryDesk({
      plans: [
        offeredPlan({ decision: 'refused', decidedBy: 'Vera Oak', open: false }),
        offeredPlan({ run: 'aa', decision: 'refused', decidedBy: 'agreement', open: false }),
        offeredPlan({ run: 'bb', open: false }),
      ],
    }),
  );
  await visitor.signIn();
  assert.match((await visitor.get(PLAN)).body, /It replaces the refusal/);
  await visitor.submit(PLAN, `${PLAN}/approve`, { read: 'yes' });
  assert.deepEqual(
    desk.decisions.map(({ decision }) => decision.kind),
    ['approve'],
  );
  for (const run of ['aa', 'bb']) {
    assert.doesNotMatch((await visitor.get(`/plans/${run}/${DIGEST}`)).body, /\/(approve|refuse)"/);
  }
});

test('the list tells what was decided, and whether the run goes on', async (t) => {
  const { visitor } = await start(
    t,
    new MemoryDesk({
      plans: [
        offeredPlan(),
        offeredPlan({ run: 'aa', decision: 'approved', decidedBy: 'Vera Oak' }),
        offeredPlan({ run: 'bb', decision: 'approved', decidedBy: 'Vera Oak', open: false }),
        offeredPlan({ run: 'cc', decision: 'refused', decidedBy: 'agreement', open: false }),
        offeredPlan({ run: 'dd', open: false }),
      ],
    }),
  );
  await visitor.signIn();
  const { body } = await visitor.get('/plans');
  const sections = body.split('<section').slice(1);
  const rows = sections.map((section) => [
    /<h2>([^<]*)/.exec(section)![1],
    [...section.matchAll(/href="\/plans\/(\w\w)[^]*?<td[^>]*>(open|closed)<\/td>/g)].map(([, run, its]) => [
      run,
      its,
    ]),
  ]);
  assert.deepEqual(rows, [
    ['Waiting for a custodian', [['ab', 'open']]],
    [
      'Approved',
      [
        ['aa', 'open'],
        ['bb', 'closed'],
      ],
    ],
    ['Refused', [['cc', 'closed']]],
    ['Closed before it was decided', [['dd', 'closed']]],
  ]);
});

test('what the agent makes of a statement is told: taken, not yet, or not', async (t) => {
  for (const [taken, status, said] of [
    [null, 303, /<title>Refused/],
    ['not yet', 303, /<title>Signed; the agent is busy/],
    ['another roster', 409, /did not take the statement: another roster/],
  ] as const) {
    const asked: string[] = [];
    const { visitor } = await start(t, waiting(), {
      taken: async (statement) => {
        asked.push(statement);
        return taken;
      },
    });
    await visitor.signIn();
    const answer = await visitor.submit(PLAN, `${PLAN}/refuse`, { objection: 'other' });
    assert.equal(answer.statusCode, status);
    assert.match(asked.join(), /^[0-9a-f]{64}$/);
    assert.match(status === 303 ? (await visitor.get(PLAN)).body : answer.body, said);
  }
});

test('a plan is refused with an objection of the closed list', async (t) => {
  const { visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const action = `${PLAN}/refuse`;
  assert.equal((await visitor.submit(PLAN, action, { objection: 'no' })).statusCode, 422);
  const long = await visitor.submit(PLAN, action, { objection: 'variables', note: 'x'.repeat(2001) });
  assert.equal(long.statusCode, 422);
  const done = await visitor.submit(PLAN, action, { objection: 'variables', note: '' });
  assert.equal(done.statusCode, 303);
  assert.deepEqual(
    desk.decisions.map(({ decision }) => decision),
    [{ kind: 'refuse', plan: DIGEST, run: RUN, objection: 'variables', note: '' }],
  );
});

test('what another custodian was first with is told: an approval again signs nothing, a refusal again is turned away', async (t) => {
  const { app, visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const other = new Visitor(app, CUSTODIAN);
  await other.signIn();
  const open = (await other.get(PLAN)).body;
  const late = (kind: string): string => tokenIn(open, `${PLAN}/${kind}`);
  await visitor.submit(PLAN, `${PLAN}/approve`, { read: 'yes' });
  assert.equal(
    (await other.post(`${PLAN}/approve`, { token: late('approve'), read: 'yes' })).statusCode,
    303,
  );
  assert.match((await other.get(PLAN)).body, /<title>Ada Byron approved this plan on the same terms before/);
  assert.equal(desk.decisions.length, 1);
  await visitor.submit(PLAN, `${PLAN}/refuse`, { objection: 'other' });
  const second = await other.post(`${PLAN}/refuse`, { token: late('refuse'), objection: 'other' });
  assert.equal(second.statusCode, 409);
  assert.match(second.body, /approval\/unknown/);
  assert.match(second.body, /another custodian was first/);
});

test('an answer is released or withheld, with its exact numbers above the form', async (t) => {
  const { visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const { body } = await visitor.get('/releases');
  assert.match(body, /-0\.12109090234/);
  const action = `/releases/${TASK}/release`;
  assert.equal((await visitor.submit('/releases', action, {})).statusCode, 422);
  assert.equal((await visitor.submit('/releases', action, { read: 'yes' })).statusCode, 303);
  assert.equal((await visitor.post(action, { read: 'yes' })).statusCode, 404);
  const again = await start(t, waiting());
  await again.visitor.signIn();
  await again.visitor.submit('/releases', `/releases/${TASK}/withhold`, { note: 'not yet' });
  assert.deepEqual(
    [...desk.decisions, ...again.desk.decisions].map(({ decision }) => decision),
    [
      { kind: 'release', task: TASK, payload: HELD, note: '' },
      { kind: 'withhold', task: TASK, payload: HELD, note: 'not yet' },
    ],
  );
});

test('a plan that the agreement does not allow cannot be approved here, and says why', async (t) => {
  const faults = ['the variable `income` is not named'];
  const desk = new MemoryDesk({ plans: [offeredPlan({ explanation: { ...EXPLANATION, faults } })] });
  const { visitor } = await start(t, desk);
  await visitor.signIn();
  const { body } = await visitor.get(PLAN);
  assert.match(body, /the variable <code>income<\/code> is not named/);
  assert.doesNotMatch(body, /\/approve"/);
  assert.match(body, /\/refuse"/);
  const token = tokenIn(body, `${PLAN}/refuse`);
  assert.equal((await visitor.post(`${PLAN}/approve`, { token, read: 'yes' })).statusCode, 422);
  assert.deepEqual(desk.decisions, []);
});

test('what left is listed newest first in parts, and each message is found', async (t) => {
  const left = Array.from({ length: 27 }, (_, i) => message(100 - 3 * i));
  const { visitor } = await start(t, new MemoryDesk({ plans: [offeredPlan()], left }));
  await visitor.signIn();
  const numbers = (body: string): number[] =>
    [...body.matchAll(/href="\/left\/(\d+)"/g)].map(([, n]) => Number(n));
  assert.deepEqual(
    numbers((await visitor.get('/left')).body),
    left.slice(0, 10).map(({ n }) => n),
  );
  assert.deepEqual(
    numbers((await visitor.get('/left?page=3')).body),
    left.slice(20).map(({ n }) => n),
  );
  assert.equal((await visitor.get('/left?page=4')).statusCode, 404);
  assert.equal((await visitor.get('/left?page=x')).statusCode, 200);
  for (const { n } of left) assert.match((await visitor.get(`/left/${n}`)).body, new RegExp(`Message ${n}:`));
  for (const n of ['99', '0', '1000', 'x', '-1']) {
    assert.equal((await visitor.get(`/left/${n}`)).statusCode, 404, n);
  }
});

test('the log is listed newest first in parts', async (t) => {
  const { visitor } = await start(t);
  await visitor.signIn();
  const lines = async (page: number): Promise<string[]> =>
    [...(await visitor.get(`/log?page=${page}`)).body.matchAll(/number (\d+)/g)].map(([, n]) => n!);
  assert.deepEqual(
    await lines(1),
    Array.from({ length: 20 }, (_, i) => `${44 - i}`),
  );
  assert.deepEqual(await lines(3), ['4', '3', '2', '1', '0']);
  assert.equal((await visitor.get('/log?page=4')).statusCode, 404);
});

test('a preview that is asked for twice is computed once', async (t) => {
  const computed = Promise.withResolvers<void>();
  let asked = 0;
  const desk = waiting();
  desk.preview = async () => {
    asked += 1;
    await computed.promise;
    return [{ analysis: 'cvd', terms: ['treatment'], payload: ESTIMATE, remarks: ['for you'] }];
  };
  const { visitor } = await start(t, desk);
  await visitor.signIn();
  const both = [visitor.get(`${PLAN}/preview`), visitor.get(`${PLAN}/preview`)];
  await visitor.get('/');
  computed.resolve();
  for (const { body } of await Promise.all(both)) {
    assert.match(body, /-0\.12109090234/);
    assert.match(body, /for you/);
  }
  assert.equal(asked, 1);
});

test('an agreement that cannot be used, or is over, is said so', async (t) => {
  const none = { ...STATUS.agreement, until: '', digest: '', text: '', faults: ['`until` is no day'] };
  for (const [agreement, said] of [
    [none, /no agreement is in force/],
    [{ ...STATUS.agreement, until: '2026-11-24' }, /expired: its last day was 2026-11-24/],
    [{ ...STATUS.agreement, until: '2026-11-25' }, /1 day, until 2026-11-25/],
  ] as const) {
    const { visitor } = await start(t, waiting(), { status: () => ({ ...STATUS, agreement }) });
    await visitor.signIn();
    for (const place of ['/', '/agreement']) {
      const { body } = await visitor.get(place);
      assert.match(body, said);
      assert.doesNotMatch(body, /NaN|Invalid/);
    }
  }
});

test('what changed since the form was shown is told with the plan as it is now, and nothing is signed', async (t) => {
  const { visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const action = `${PLAN}/approve`;
  desk.decide = async () => {
    throw new ConcordatError('approval/changed', 'changed since it was shown: the agreement', {
      remedy: 'look at it as it is now, and decide again',
    });
  };
  const form = hiddenIn((await visitor.get(PLAN)).body, action);
  desk.records = async () => '67'.repeat(32);
  const answer = await visitor.post(action, { ...form, read: 'yes' });
  assert.equal(answer.statusCode, 409);
  assert.match(answer.body, /<title>Not done/);
  assert.match(answer.body, /changed since it was shown: the agreement/);
  const { data, offer } = hiddenIn(answer.body, action);
  assert.deepEqual([data, offer], ['67'.repeat(32), form['offer']]);
  assert.deepEqual(desk.decisions, []);
});
