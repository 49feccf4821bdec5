/** What the custodian's page keeps from others: what every page does, and its own decisions, texts and errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AUDIT_ROUTES } from '@concordat/audit/page/testing.ts';
import { testSecurity } from '@concordat/web/security-testing.ts';
import { AUDITOR, CUSTODIAN, HOST, tokenIn, Visitor } from '@concordat/web/testing.ts';

import {
  ESTIMATE,
  EXPLANATION,
  MemoryDesk,
  message,
  offeredPlan,
  PLACES,
  PLAN,
  RELEASE,
  start,
  STATUS,
  TASK,
  waiting,
} from './testing.ts';

testSecurity({
  start: (t, given) => start(t, waiting(), given),
  roles: ['custodian', 'auditor'],
  places: PLACES,
  auditors: [...AUDIT_ROUTES, 'GET /log'],
});

test('nothing is decided by who is not signed in, nor by an auditor', async (t) => {
  const { app, visitor, desk } = await start(t, waiting());
  const auditor = new Visitor(app, AUDITOR);
  await auditor.signIn();
  const token = tokenIn((await auditor.get('/log')).body, '/sign-out');
  for (const action of [
    `${PLAN}/approve`,
    `${PLAN}/refuse`,
    `/releases/${TASK}/release`,
    `/releases/${TASK}/withhold`,
  ]) {
    assert.equal((await auditor.post(action, { read: 'yes', objection: 'other', token })).statusCode, 403);
  }
  for (const action of [`${PLAN}/approve`, `${PLAN}/refuse`, `/releases/${TASK}/release`]) {
    assert.equal((await visitor.post(action, { read: 'yes' })).headers.location, '/sign-in');
  }
  assert.deepEqual(desk.decisions, []);
});

test('an auditor sees which entries the log has, and not the details that stay at the site', async (t) => {
  const { app, visitor } = await start(t);
  await visitor.signIn();
  assert.match((await visitor.get('/log')).body, /Detail[^]*number 44/);
  const auditor = new Visitor(app, AUDITOR);
  await auditor.signIn();
  const { body } = await auditor.get('/log');
  assert.match(body, /StageOneQuestion/);
  assert.doesNotMatch(body, /Detail|number 44/);
});

test('a decision is taken from its own form alone: another origin, no origin, no token, a token of another session', async (t) => {
  const { app, visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const action = `${PLAN}/approve`;
  const fields = { read: 'yes', note: '' };
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:9999' },
    { origin: `https://${HOST}` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: '' },
  ]) {
    const answer = await visitor.submit(PLAN, action, fields, headers);
    assert.equal(answer.statusCode, 403, JSON.stringify(headers));
  }
  assert.equal((await visitor.post(action, fields)).statusCode, 403);
  const other = new Visitor(app, CUSTODIAN);
  await other.signIn();
  const foreign = tokenIn((await other.get(PLAN)).body, action);
  assert.equal((await visitor.post(action, { ...fields, token: foreign })).statusCode, 403);
  assert.equal((await visitor.get('/')).statusCode, 200);
  assert.deepEqual(desk.decisions, []);
});

test('reading changes nothing: a GET, a HEAD or another method to a form decides nothing', async (t) => {
  const { app, visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  for (const action of [`${PLAN}/approve`, `${PLAN}/refuse`, `/releases/${TASK}/release`, '/sign-out']) {
    assert.equal((await visitor.get(`${action}?read=yes&objection=other`)).statusCode, 404, action);
    for (const method of ['PUT', 'DELETE', 'PATCH'] as const) {
      const answer = await app.inject({ method, url: action, headers: { host: HOST } });
      assert.equal(answer.statusCode, 403);
    }
  }
  for (const place of PLACES) await visitor.get(place);
  assert.deepEqual(desk.decisions, []);
  assert.equal((await visitor.get('/')).statusCode, 200);
});

test('names and texts of others are text, never markup', async (t) => {
  const evil = '<script>alert(1)</script>"\'><img src=x>\u202e';
  const explanation = {
    ...EXPLANATION,
    title: evil,
    asker: evil,
    differences: [evil],
    variables: [{ variable: evil, uses: [evil] }],
    analyses: [{ id: 'cvd', model: evil, terms: [evil], leaves: [evil] }],
  };
  const desk = new MemoryDesk({
    plans: [offeredPlan({ explanation, text: evil })],
    releases: [{ ...RELEASE, asked: evil }],
    left: [message(3, { type: evil })],
    previews: [{ analysis: 'cvd', terms: [evil], payload: ESTIMATE, remarks: [evil] }],
  });
  const agreement = { ...STATUS.agreement, name: evil, lines: [evil], faults: [evil], text: evil };
  const { visitor } = await start(t, desk, { status: () => ({ ...STATUS, agreement }), study: evil });
  await visitor.signIn();
  for (const place of PLACES.map((path) => path.replace('/20', '/3'))) {
    const { body, statusCode } = await visitor.get(place);
    assert.equal(statusCode, 200, place);
    assert.doesNotMatch(body, /<script|<img|\u202e/, place);
  }
});

test('an error that is not foreseen tells nothing of itself', async (t) => {
  const desk = waiting();
  desk.preview = async () => {
    throw new Error('secret row 17');
  };
  const { visitor, logged } = await start(t, desk);
  await visitor.signIn();
  const { body, statusCode } = await visitor.get(`${PLAN}/preview`);
  assert.equal(statusCode, 500);
  assert.doesNotMatch(body, /secret/);
  assert.doesNotMatch(logged.join(), /secret/);
});
