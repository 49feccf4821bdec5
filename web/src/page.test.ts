/** How a page takes routes of another room: a plugin under a path of its own, with an entry of the navigation. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import type { FastifyInstance } from 'fastify';

import type { Show } from './context.ts';
import { html } from './html.ts';
import { newPage } from './page.ts';
import {
  AUDITOR,
  CUSTODIAN,
  HOST,
  LOOPBACK,
  memoryLog,
  memorySignIn,
  surroundings,
  Visitor,
} from './testing.ts';

async function emptyPage(t: TestContext) {
  const { now, note } = surroundings();
  const page = await newPage(
    {
      owner: { page: 'page of', name: 'TEST' },
      places: [
        { path: '/', name: 'Overview', auditors: false },
        { path: '/guest', name: 'Guest', auditors: true },
      ],
      signIn: memorySignIn('custodian', 'auditor'),
      log: memoryLog(),
      note,
      now,
    },
    LOOPBACK,
  );
  t.after(() => page.app.close());
  return page;
}

/** As a room of its own would write it: it knows the layout by `show` and where it is by its server's prefix. */
async function guest(server: FastifyInstance, { show }: { readonly show: Show }): Promise<void> {
  const reading = { config: { access: 'auditors' } } as const;
  server.get('/', reading, (request, reply) =>
    show(request, reply, {
      title: 'Guest',
      at: server.prefix,
      body: html`<a href="${server.prefix}/entries/7">Entry 7</a>`,
    }),
  );
  server.get('/entries/:n', reading, (request, reply) =>
    show(request, reply, { title: 'Entry', at: server.prefix, body: (request.params as { n: string }).n }),
  );
  server.get('/unmarked', (_request, reply) => reply.send('for custodians'));
}

test('a plugin shows its pages in the frame, under its own path, to whom its routes are marked for', async (t) => {
  const { app, show } = await emptyPage(t);
  await app.register(guest, { prefix: '/guest', show });
  const auditor = new Visitor(app, AUDITOR);
  const signedIn = await auditor.get('/guest');
  assert.equal(signedIn.headers.location, '/sign-in');
  await auditor.signIn();
  const { body } = await auditor.get('/guest');
  assert.match(body, /<title>Guest – TEST – Concordat/);
  assert.match(body, /href="\/guest" +aria-current="page"/);
  assert.match(body, /Signed in as <strong>Uma Audit<\/strong>, auditor/);
  assert.doesNotMatch(body, />Overview</);
  assert.match(body, /href="\/guest\/entries\/7"/);
  assert.equal((await auditor.get('/guest/entries/7')).statusCode, 200);
  assert.equal((await auditor.get('/guest/unmarked')).statusCode, 403);
  assert.equal((await auditor.get('/guest/nowhere')).statusCode, 404);
  const custodian = new Visitor(app, CUSTODIAN);
  await custodian.signIn();
  assert.match((await custodian.get('/guest')).body, />Overview</);
  assert.equal((await custodian.get('/guest/unmarked')).body, 'for custodians');
  assert.equal((await app.inject({ url: '/guest', headers: { host: 'evil.example' } })).statusCode, 421);
  assert.equal(
    (await app.inject({ url: '/guest', headers: { host: HOST } })).headers['x-frame-options'],
    'DENY',
  );
});

test('a route that changes anything cannot be marked for auditors', async (t) => {
  const { app } = await emptyPage(t);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', ['GET', 'POST']])
    assert.throws(
      () => app.route({ method, url: '/x', config: { access: 'auditors' }, handler: () => 'changed' }),
      /cannot be for auditors/,
    );
});
