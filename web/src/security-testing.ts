/** What every page must keep from others, as tests: sessions, forms, host names, headers, roles. A program's own tests call `testSecurity`. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test, type TestContext } from 'node:test';

import { ConcordatError } from '@concordat/shared/errors.ts';
import type { FastifyInstance } from 'fastify';

import type { Role } from './sessions.ts';
import type { AuditorLog, SignIn } from './sign-in.ts';
import {
  AUDITOR,
  HOST,
  memoryLog,
  memorySignIn,
  PASSPHRASE,
  tokenIn,
  Visitor,
  type Started,
} from './testing.ts';

interface Tried {
  readonly start: (
    t: TestContext,
    given: { readonly signIn: SignIn; readonly log: AuditorLog },
  ) => Promise<Started>;
  /** Those who may sign in; the visitor has the first. */
  readonly roles: readonly [Role, ...Role[]];
  /** Every page that the visitor may see. */
  readonly places: readonly string[];
  /** Routes that auditors may use. */
  readonly auditors: readonly string[];
}

const EVERYONE = ['GET /sign-in', 'GET /style.css', 'POST /sign-in', 'POST /sign-out'];

export function testSecurity({ start, roles, places, auditors }: Tried): void {
  const begin = (t: TestContext, signIn = memorySignIn(...roles), log = memoryLog()): Promise<Started> =>
    start(t, { signIn, log });

  test('nothing is shown to who is not signed in', async (t) => {
    const { visitor } = await begin(t);
    for (const place of places) {
      const answer = await visitor.get(place);
      assert.equal(answer.statusCode, 303, place);
      assert.equal(answer.headers.location, '/sign-in');
      assert.equal(answer.body, '');
    }
  });

  test('every page has its headers: no scripts, no frames, no store', async (t) => {
    const { visitor } = await begin(t);
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
    for (const place of places) await check(place, 200);
    await check('/nowhere', 404);
  });

  test('the session cookie is for this host alone, out of reach of scripts and other sites, and new at sign-in', async (t) => {
    const { app, visitor } = await begin(t);
    const { name } = visitor;
    const [home] = places;
    const fixed = 'a'.repeat(43);
    const first = await visitor.get('/sign-in');
    const [form] = first.cookies;
    const session = form!.name.replace('-form', '');
    visitor.cookies.set(session, fixed);
    const answer = await visitor.submit('/sign-in', '/sign-in', { name, passphrase: PASSPHRASE });
    const cookie = answer.cookies.find((each) => each.name === session);
    assert.ok(cookie);
    assert.deepEqual(
      { httpOnly: cookie.httpOnly, sameSite: cookie.sameSite, path: cookie.path, domain: cookie['domain'] },
      { httpOnly: true, sameSite: 'Strict', path: '/', domain: undefined },
    );
    assert.notEqual(cookie.value, fixed);
    assert.ok(cookie.value.length >= 43);
    // The one that was planted opens nothing.
    const other = new Visitor(app, name);
    other.cookies.set(session, fixed);
    assert.equal((await other.get(home!)).statusCode, 303);
    // Signing in again, from a form that was open before, gives another and ends the first.
    const again = new Visitor(app, name);
    const token = tokenIn((await again.get('/sign-in')).body, '/sign-in');
    again.cookies.set(session, cookie.value);
    const second = await again.post('/sign-in', { token, name, passphrase: PASSPHRASE });
    assert.equal(second.statusCode, 303);
    assert.notEqual(again.cookies.get(session), cookie.value);
    assert.equal((await again.get(home!)).statusCode, 200);
    assert.equal((await visitor.get(home!)).statusCode, 303);
  });

  test('a wrong passphrase, a name that does not exist and no name at all get the same answer', async (t) => {
    const { visitor, logged } = await begin(t);
    const answers = [];
    for (const [name, passphrase] of [
      [visitor.name, 'wrong'],
      ['Nobody', PASSPHRASE],
      ['', ''],
    ]) {
      const answer = await visitor.submit('/sign-in', '/sign-in', { name: name!, passphrase: passphrase! });
      answers.push([answer.statusCode, answer.body.replaceAll(/name="token" value="[^"]+"/g, '')]);
    }
    assert.deepEqual(answers[1], answers[0]);
    assert.deepEqual(answers[2], answers[0]);
    assert.equal(answers[0]![0], 403);
    assert.equal((await visitor.get(places[0]!)).statusCode, 303);
    assert.doesNotMatch(logged.join(), /wrong|Nobody|correct horse/);
  });

  /** Nobody's passphrase is right; `opened`: how often a key was tried. */
  const hopeless = (): { readonly signIn: SignIn; opened: number } => {
    const tried = {
      opened: 0,
      signIn: {
        ...memorySignIn(...roles),
        openKey: async () => {
          tried.opened += 1;
          throw new ConcordatError('approval/passphrase', 'wrong');
        },
      },
    };
    return tried;
  };

  test('guessing becomes slow, for the name and for the address, and never opens a key meanwhile', async (t) => {
    const tried = hopeless();
    const { visitor, clock } = await begin(t, tried.signIn);
    const attempt = (name: string) => visitor.submit('/sign-in', '/sign-in', { name, passphrase: 'guess' });
    for (let i = 0; i < 3; i++) assert.equal((await attempt(visitor.name)).statusCode, 403);
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      const answer = await attempt(visitor.name);
      assert.equal(answer.statusCode, 429);
      waits.push(Number(answer.headers['retry-after']));
      // Another name from the same address waits as long.
      assert.equal((await attempt('Other')).statusCode, 429);
      clock.now += waits[i]! * 1000;
      assert.equal((await attempt(visitor.name)).statusCode, 403);
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    assert.equal(tried.opened, 15);
    // The delay is over when nothing was tried for an hour.
    clock.now += 60 * 60_000;
    assert.equal((await attempt(visitor.name)).statusCode, 403);
    assert.equal((await attempt(visitor.name)).statusCode, 403);
  });

  test('guesses side by side count too', async (t) => {
    const tried = hopeless();
    const { app, visitor } = await begin(t, tried.signIn);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        new Visitor(app, visitor.name).submit('/sign-in', '/sign-in', {
          name: visitor.name,
          passphrase: 'guess',
        }),
      ),
    );
    assert.equal(tried.opened, 3);
    assert.equal(answers.filter(({ statusCode }) => statusCode === 429).length, 17);
  });

  test('who is no longer named, or under another key or role, is signed out', async (t) => {
    const signIn = memorySignIn(...roles);
    const before = signIn.accounts();
    let named = before;
    const { visitor } = await begin(t, { ...signIn, accounts: () => named });
    const [home] = places;
    for (const change of [
      [{ ...before[0]!, key: '00'.repeat(32) }],
      [{ ...before[0]!, role: roles[0] === 'custodian' ? 'auditor' : 'custodian' } as const],
      [],
    ]) {
      named = before;
      await visitor.signIn();
      assert.equal((await visitor.get(home!)).statusCode, 200);
      named = change;
      assert.equal((await visitor.get(home!)).statusCode, 303);
      named = before;
      assert.equal((await visitor.get(home!)).statusCode, 303);
    }
  });

  test('a session ends after 15 minutes without use, after 8 hours, and at sign-out', async (t) => {
    const { visitor, clock } = await begin(t);
    const home = places[0]!;
    await visitor.signIn();
    clock.now += 14 * 60_000;
    assert.equal((await visitor.get(home)).statusCode, 200);
    clock.now += 15 * 60_000;
    assert.equal((await visitor.get(home)).statusCode, 303);
    await visitor.signIn();
    for (let i = 0; i < 47; i++) {
      clock.now += 10 * 60_000;
      assert.equal((await visitor.get(home)).statusCode, 200, `${i}`);
    }
    clock.now += 10 * 60_000;
    assert.equal((await visitor.get(home)).statusCode, 303);
    await visitor.signIn();
    const kept = new Map(visitor.cookies);
    const out = await visitor.submit(home, '/sign-out', {});
    assert.equal(out.headers.location, '/sign-in');
    for (const [name, value] of kept) visitor.cookies.set(name, value);
    assert.equal((await visitor.get(home)).statusCode, 303);
  });

  test('another host name, as after DNS rebinding, gets nothing', async (t) => {
    const { visitor } = await begin(t);
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
    const { app, visitor } = await begin(t);
    const [home] = places;
    await visitor.signIn();
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:9999' },
      { origin: `https://${HOST}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: '' },
    ]) {
      const answer = await visitor.submit(home!, '/sign-out', {}, headers);
      assert.equal(answer.statusCode, 403, JSON.stringify(headers));
    }
    assert.equal((await visitor.post('/sign-out', {})).statusCode, 403);
    const other = new Visitor(app, visitor.name);
    await other.signIn();
    const foreign = tokenIn((await other.get(home!)).body, '/sign-out');
    assert.equal((await visitor.post('/sign-out', { token: foreign })).statusCode, 403);
    assert.equal((await visitor.get(home!)).statusCode, 200);
    // Nor does anyone sign a visitor in as themselves: the form needs the cookie that came with it.
    const stranger = new Visitor(app, visitor.name);
    const token = tokenIn((await new Visitor(app, visitor.name).get('/sign-in')).body, '/sign-in');
    const answer = await stranger.post('/sign-in', { token, name: visitor.name, passphrase: PASSPHRASE });
    assert.equal(answer.statusCode, 403);
  });

  test('a form that is too large is not read', async (t) => {
    const { visitor } = await begin(t);
    const large = await visitor.post('/sign-out', { token: 'x'.repeat(70_000) });
    assert.equal(large.statusCode, 413);
  });

  test('every route is denied to auditors but those that are marked for them, which only read', async (t) => {
    const routes = await routesOf(() => begin(t).then(({ app }) => app));
    const log = memoryLog();
    const { app, visitor } = await begin(t, memorySignIn(...roles), log);
    const auditor = new Visitor(app, AUDITOR);
    await auditor.signIn();
    const logged = log.entries.length;
    if (visitor.name !== AUDITOR) await visitor.signIn();
    // With their own form's token, so that nothing but the role is in the way.
    const token = tokenIn((await auditor.get(auditors[0]!.replace('GET ', ''))).body, '/sign-out');
    const stranger = new Visitor(app, 'Nobody');
    const admitted: string[] = [];
    const open: string[] = [];
    for (const route of routes) {
      const [method, url] = route.split(' ') as ['GET' | 'HEAD' | 'POST', string];
      const at = url.replaceAll(/:[a-z]+/g, '1');
      const ask = async (who: Visitor): Promise<number> => {
        const answer = method === 'POST' ? who.post(at, { token }) : who.get(at, {}, method);
        return (await answer).statusCode;
      };
      const unknown = await ask(stranger);
      // Who is not signed in is led to the form, but for the form itself.
      if (unknown !== 303 || url === '/sign-out') open.push(route);
      if (open.includes(route)) continue;
      const status = await ask(auditor);
      if (status !== 403) admitted.push(route);
      if (status !== 403) assert.notEqual(method, 'POST');
      if (visitor.name !== AUDITOR && method !== 'POST') assert.ok([200, 404].includes(await ask(visitor)));
    }
    assert.deepEqual(withoutHead(open), EVERYONE);
    assert.deepEqual(withoutHead(admitted), [...auditors]);
    assert.equal(log.entries.length, logged);
  });

  test('each sign-in of an auditor is logged, the first of a new key as such', async (t) => {
    const log = memoryLog();
    const signIn = memorySignIn(...roles);
    const key = signIn.accounts().find(({ role }) => role === 'auditor')!.key;
    const { app, visitor } = await begin(t, signIn, log);
    await visitor.submit('/sign-in', '/sign-in', { name: AUDITOR, passphrase: 'wrong' });
    if (visitor.name !== AUDITOR) await visitor.signIn();
    assert.deepEqual(log.entries, []);
    for (let i = 0; i < 2; i++) await new Visitor(app, AUDITOR).signIn();
    assert.deepEqual(
      log.entries.map(({ kind, detail }) => ({ kind, detail })),
      [true, false].map((first) => ({ kind: 'decision', detail: { auditor: AUDITOR, key, first } })),
    );
  });
}

/** Every route of the server that `make` makes, from its first, as `GET /path`. */
async function routesOf(make: () => Promise<FastifyInstance>): Promise<readonly string[]> {
  const routes: string[] = [];
  const watch = (message: unknown): void => {
    (message as { readonly fastify: FastifyInstance }).fastify.addHook('onRoute', ({ method, url }) => {
      routes.push(...[method].flat().map((each) => `${each} ${url}`));
    });
  };
  subscribe('fastify.initialization', watch);
  try {
    await (await make()).ready();
  } finally {
    unsubscribe('fastify.initialization', watch);
  }
  return routes.toSorted();
}

function withoutHead(routes: readonly string[]): readonly string[] {
  return routes.filter((route) => !route.startsWith('HEAD '));
}
