import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';

import { custodianPage } from './app.ts';
import type { PageParts } from './context.ts';
import {
  CUSTODIAN,
  DIGEST,
  ESTIMATE,
  EXPLANATION,
  MemoryDesk,
  offeredPlan,
  pageParts,
  PASSPHRASE,
  RELEASE,
  RUN,
  HEADER,
  STATUS,
  TASK,
} from './testing.ts';

const HOST = '127.0.0.1:8480';
const PLAN = `/plans/${RUN}/${DIGEST}`;
const message = (n: number, over = {}) => ({
  n,
  time: '2026-11-24T10:00:00.000Z',
  run: RUN,
  analysis: 'cvd',
  round: n,
  type: 'StageOneEstimate',
  task: TASK,
  header: HEADER,
  terms: ['treatment'],
  payload: ESTIMATE,
  ...over,
});

/** A browser as far as the page is concerned: keeps cookies, sends Origin with forms. */
class Visitor {
  readonly cookies = new Map<string, string>();
  readonly app: FastifyInstance;

  constructor(app: FastifyInstance) {
    this.app = app;
  }

  async get(url: string, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
    return this.#take(
      await this.app.inject({ url, headers: { host: HOST, cookie: this.#cookie(), ...headers } }),
    );
  }

  async post(
    url: string,
    fields: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> {
    return this.#take(
      await this.app.inject({
        method: 'POST',
        url,
        headers: {
          host: HOST,
          cookie: this.#cookie(),
          origin: `http://${HOST}`,
          'sec-fetch-site': 'same-origin',
          'content-type': 'application/x-www-form-urlencoded',
          ...headers,
        },
        payload: new URLSearchParams(fields).toString(),
      }),
    );
  }

  /** Fills in the form that posts to `action` on the page at `at`. */
  async submit(
    at: string,
    action: string,
    fields: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> {
    const { body } = await this.get(at);
    return this.post(action, { token: tokenIn(body, action), ...fields }, headers);
  }

  async signIn(): Promise<void> {
    const answer = await this.submit('/sign-in', '/sign-in', { name: CUSTODIAN, passphrase: PASSPHRASE });
    assert.equal(answer.statusCode, 303);
    assert.equal(answer.headers.location, '/');
  }

  #cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #take(response: LightMyRequestResponse): LightMyRequestResponse {
    for (const { name, value } of response.cookies) {
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }
}

function tokenIn(page: string, action: string): string {
  const form = page.split('<form').find((part) => part.includes(`action="${action}"`));
  const token = form === undefined ? null : /name="token" value="([^"]+)"/.exec(form);
  assert.ok(token, `no form to ${action}`);
  return token[1]!;
}

async function start(t: TestContext, desk = new MemoryDesk({}), over: Partial<PageParts> = {}) {
  const { parts, clock, logged } = pageParts(desk, over);
  const address = { host: '127.0.0.1', port: 8480, loopback: true };
  const app = await custodianPage(parts, { address, tls: null });
  t.after(() => app.close());
  return { app, desk, clock, logged, visitor: new Visitor(app) };
}

const waiting = (): MemoryDesk =>
  new MemoryDesk({
    plans: [offeredPlan()],
    releases: [RELEASE],
    left: [message(30), message(20), message(10)],
    previews: [
      {
        analysis: 'cvd',
        terms: ['treatment'],
        payload: ESTIMATE,
        remarks: ['no rule is near its threshold'],
      },
    ],
  });

const PLACES = [
  '/',
  '/plans',
  PLAN,
  `${PLAN}/preview`,
  '/releases',
  '/left',
  '/left/20',
  '/agreement',
  '/connection',
  '/log',
];

test('nothing is shown to who is not signed in, and nothing is decided', async (t) => {
  const { visitor, desk } = await start(t, waiting());
  for (const place of PLACES) {
    const answer = await visitor.get(place);
    assert.equal(answer.statusCode, 303, place);
    assert.equal(answer.headers.location, '/sign-in');
    assert.equal(answer.body, '');
  }
  for (const action of [`${PLAN}/approve`, `${PLAN}/refuse`, `/releases/${TASK}/release`]) {
    assert.equal((await visitor.post(action, { read: 'yes' })).headers.location, '/sign-in');
  }
  assert.deepEqual(desk.decisions, []);
});

test('every page has its headers: no scripts, no frames, no store', async (t) => {
  const { visitor } = await start(t, waiting());
  const check = async (place: string, status: number): Promise<void> => {
    const { headers, statusCode, body } = await visitor.get(place);
    assert.equal(statusCode, status, place);
    assert.equal(
      headers['content-security-policy'],
      "default-src 'none';style-src 'self';img-src 'self' data:;form-action 'self';frame-ancestors 'none';base-uri 'none'",
    );
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['referrer-policy'], 'same-origin');
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
    assert.match(String(headers['permissions-policy']), /camera=\(\)/);
    assert.equal(headers['strict-transport-security'], undefined);
    assert.equal(headers['x-powered-by'], undefined);
    assert.doesNotMatch(body, /<script|\son[a-z]+=|style="/i);
  };
  await check('/sign-in', 200);
  await check('/style.css', 200);
  await visitor.signIn();
  for (const place of PLACES) await check(place, 200);
  await check('/nowhere', 404);
});

test('the session cookie is for this host alone, out of reach of scripts and other sites, and new at sign-in', async (t) => {
  const { app, visitor } = await start(t);
  const fixed = 'a'.repeat(43);
  const first = await visitor.get('/sign-in');
  const [form] = first.cookies;
  const session = form!.name.replace('-form', '');
  visitor.cookies.set(session, fixed);
  const answer = await visitor.submit('/sign-in', '/sign-in', { name: CUSTODIAN, passphrase: PASSPHRASE });
  const cookie = answer.cookies.find(({ name }) => name === session);
  assert.ok(cookie);
  assert.deepEqual(
    { httpOnly: cookie.httpOnly, sameSite: cookie.sameSite, path: cookie.path, domain: cookie['domain'] },
    { httpOnly: true, sameSite: 'Strict', path: '/', domain: undefined },
  );
  assert.notEqual(cookie.value, fixed);
  assert.ok(cookie.value.length >= 43);
  // The one that was planted opens nothing.
  const other = new Visitor(app);
  other.cookies.set(session, fixed);
  assert.equal((await other.get('/')).statusCode, 303);
  // Signing in again, from a form that was open before, gives another and ends the first.
  const again = new Visitor(app);
  const token = tokenIn((await again.get('/sign-in')).body, '/sign-in');
  again.cookies.set(session, cookie.value);
  const second = await again.post('/sign-in', { token, name: CUSTODIAN, passphrase: PASSPHRASE });
  assert.equal(second.statusCode, 303);
  assert.notEqual(again.cookies.get(session), cookie.value);
  assert.equal((await again.get('/')).statusCode, 200);
  assert.equal((await visitor.get('/')).statusCode, 303);
});

test('a wrong passphrase, a name that does not exist and no name at all get the same answer', async (t) => {
  const { visitor, logged } = await start(t);
  const answers = [];
  for (const [name, passphrase] of [
    [CUSTODIAN, 'wrong'],
    ['Nobody', PASSPHRASE],
    ['', ''],
  ]) {
    const answer = await visitor.submit('/sign-in', '/sign-in', { name: name!, passphrase: passphrase! });
    answers.push([answer.statusCode, answer.body.replaceAll(/name="token" value="[^"]+"/g, '')]);
  }
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
  assert.equal(answers[0]![0], 403);
  assert.equal((await visitor.get('/')).statusCode, 303);
  assert.doesNotMatch(logged.join(), /wrong|Nobody|correct horse/);
});

test('guessing becomes slow, for the name and for the address, and never opens a key meanwhile', async (t) => {
  let opened = 0;
  const { app, clock } = await start(t, new MemoryDesk({}), {
    signIn: {
      custodians: () => [{ name: CUSTODIAN, key: '' }],
      openKey: async () => {
        opened += 1;
        throw new ConcordatError('approval/passphrase', 'wrong');
      },
    },
  });
  const visitor = new Visitor(app);
  const attempt = (name: string) =>
    visitor.submit('/sign-in', '/sign-in', { name, passphrase: 'guess' }).then((a) => a);
  for (let i = 0; i < 3; i++) assert.equal((await attempt(CUSTODIAN)).statusCode, 403);
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    const answer = await attempt(CUSTODIAN);
    assert.equal(answer.statusCode, 429);
    waits.push(Number(answer.headers['retry-after']));
    // Another name from the same address waits as long.
    assert.equal((await attempt('Other')).statusCode, 429);
    clock.now += waits[i]! * 1000;
    assert.equal((await attempt(CUSTODIAN)).statusCode, 403);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
  assert.equal(opened, 15);
  // The delay is over when nothing was tried for an hour.
  clock.now += 60 * 60_000;
  assert.equal((await attempt(CUSTODIAN)).statusCode, 403);
  assert.equal((await attempt(CUSTODIAN)).statusCode, 403);
});

test('guesses side by side count too', async (t) => {
  let opened = 0;
  const { app } = await start(t, new MemoryDesk({}), {
    signIn: {
      custodians: () => [{ name: CUSTODIAN, key: '' }],
      openKey: async () => {
        opened += 1;
        throw new ConcordatError('approval/passphrase', 'wrong');
      },
    },
  });
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      new Visitor(app).submit('/sign-in', '/sign-in', { name: CUSTODIAN, passphrase: 'guess' }),
    ),
  );
  assert.equal(opened, 3);
  assert.equal(answers.filter(({ statusCode }) => statusCode === 429).length, 17);
});

test('who is taken out of the agreement is signed out', async (t) => {
  const { parts } = pageParts(new MemoryDesk({}));
  let named = parts.signIn.custodians();
  const { visitor } = await start(t, waiting(), {
    signIn: { ...parts.signIn, custodians: () => named },
  });
  await visitor.signIn();
  assert.equal((await visitor.get('/')).statusCode, 200);
  const [before] = named;
  named = [{ name: CUSTODIAN, key: '00'.repeat(32) }];
  assert.equal((await visitor.get('/')).statusCode, 303);
  named = [before!];
  assert.equal((await visitor.get('/')).statusCode, 303);
});

test('a session ends after 15 minutes without use, after 8 hours, and at sign-out', async (t) => {
  const { visitor, clock } = await start(t);
  await visitor.signIn();
  clock.now += 14 * 60_000;
  assert.equal((await visitor.get('/')).statusCode, 200);
  clock.now += 15 * 60_000;
  assert.equal((await visitor.get('/')).statusCode, 303);
  await visitor.signIn();
  for (let i = 0; i < 47; i++) {
    clock.now += 10 * 60_000;
    assert.equal((await visitor.get('/')).statusCode, 200, `${i}`);
  }
  clock.now += 10 * 60_000;
  assert.equal((await visitor.get('/')).statusCode, 303);
  await visitor.signIn();
  const kept = new Map(visitor.cookies);
  const out = await visitor.submit('/', '/sign-out', {});
  assert.equal(out.headers.location, '/sign-in');
  for (const [name, value] of kept) visitor.cookies.set(name, value);
  assert.equal((await visitor.get('/')).statusCode, 303);
});

test('another host name, as after DNS rebinding, gets nothing', async (t) => {
  const { visitor } = await start(t);
  for (const host of ['evil.example', 'evil.example:8480', '10.0.0.1:8480', '127.0.0.1.evil.example']) {
    const answer = await visitor.get('/sign-in', { host });
    assert.equal(answer.statusCode, 421, host);
    assert.doesNotMatch(answer.body, /Sign in/);
  }
  for (const host of ['localhost:9000', '127.0.0.1', '[::1]:8480', 'LOCALHOST']) {
    assert.equal((await visitor.get('/sign-in', { host })).statusCode, 200, host);
  }
});

test('only its own forms: another origin, no origin, no token, a token of another session', async (t) => {
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
  const other = new Visitor(app);
  await other.signIn();
  const foreign = tokenIn((await other.get(PLAN)).body, action);
  assert.equal((await visitor.post(action, { ...fields, token: foreign })).statusCode, 403);
  assert.equal((await visitor.post('/sign-out', { token: foreign })).statusCode, 403);
  assert.equal((await visitor.get('/')).statusCode, 200);
  assert.deepEqual(desk.decisions, []);
  // Nor does anyone sign a visitor in as themselves: the form needs the cookie that came with it.
  const { body } = await other.get('/log');
  assert.doesNotMatch(body, /action="\/sign-in"/);
  const stranger = new Visitor(app);
  const token = tokenIn((await new Visitor(app).get('/sign-in')).body, '/sign-in');
  const answer = await stranger.post('/sign-in', { token, name: CUSTODIAN, passphrase: PASSPHRASE });
  assert.equal(answer.statusCode, 403);
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
        decision: { kind: 'approve', plan: DIGEST, run: RUN, note: 'as the board decided' },
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

test('an approval is taken back by a refusal; what is refused or closed is decided no more', async (t) => {
  const { visitor, desk } = await start(
    t,
    new MemoryDesk({
      plans: [
        offeredPlan({ status: 'approved', decidedBy: 'matching-template' }),
        offeredPlan({ run: 'aa', status: 'closed' }),
      ],
    }),
  );
  await visitor.signIn();
  const { body } = await visitor.get(PLAN);
  assert.match(body, /a template of the agreement/);
  assert.doesNotMatch(body, /\/approve"/);
  await visitor.submit(PLAN, `${PLAN}/refuse`, { objection: 'disclosure' });
  assert.equal(desk.plans()[0]?.status, 'refused');
  assert.doesNotMatch((await visitor.get(PLAN)).body, /\/refuse"/);
  assert.doesNotMatch((await visitor.get(`/plans/aa/${DIGEST}`)).body, /\/refuse"/);
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

test('a plan is refused with an objection of the closed list, and what another was first with is told', async (t) => {
  const { app, visitor, desk } = await start(t, waiting());
  await visitor.signIn();
  const other = new Visitor(app);
  await other.signIn();
  const late = tokenIn((await other.get(PLAN)).body, `${PLAN}/approve`);
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
  const second = await other.post(`${PLAN}/approve`, { token: late, read: 'yes' });
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
      { kind: 'release', task: TASK, note: '' },
      { kind: 'withhold', task: TASK, note: 'not yet' },
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
  const large = await visitor.post('/sign-out', { token: 'x'.repeat(70_000) });
  assert.equal(large.statusCode, 413);
});
