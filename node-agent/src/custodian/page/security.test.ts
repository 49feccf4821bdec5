/** Signing in, and what the page keeps from others: sessions, forms, host names, headers, texts and errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ConcordatError } from '@concordat/shared/errors.ts';

import {
  CUSTODIAN,
  ESTIMATE,
  EXPLANATION,
  HOST,
  MemoryDesk,
  message,
  offeredPlan,
  pageParts,
  PASSPHRASE,
  PLACES,
  PLAN,
  RELEASE,
  start,
  STATUS,
  TASK,
  tokenIn,
  Visitor,
  waiting,
} from './testing.ts';

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
