/** A custodian at the page of an agent that runs: signs in, sees, approves, releases. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { concordat, entriesOf, Federation, newFolder, resultOf, until, writeTrials } from './federation.ts';

const STUDIES = ['A', 'B', 'C'];
const PASSPHRASE = 'correct horse battery staple';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What a browser does with the page: keeps cookies, sends Origin with forms, follows. */
class Visitor {
  readonly #base: string;
  readonly #cookies = new Map<string, string>();

  constructor(base: string) {
    this.#base = base;
  }

  async get(path: string): Promise<string> {
    return this.#ask(path, {});
  }

  /** Sends the form of the page at `at` whose action begins with `action`. */
  async submit(at: string, action: RegExp, fields: Record<string, string>): Promise<string> {
    const page = await this.get(at);
    const form = page.split('<form').find((part) => action.test(/action="([^"]+)"/.exec(part)?.[1] ?? ''));
    assert.ok(form, `a form ${action.source} at ${at}: ${page}`);
    const hidden = [...form.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)];
    const body = new URLSearchParams({
      ...Object.fromEntries(hidden.map(([, name, value]) => [name, value])),
      ...fields,
    });
    return this.#ask(/action="([^"]+)"/.exec(form)![1]!, { method: 'POST', body });
  }

  async #ask(path: string, init: RequestInit): Promise<string> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(this.#base + path, {
      ...init,
      redirect: 'manual',
      headers: { cookie, origin: this.#base },
    });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      if (value === '') this.#cookies.delete(name!);
      else this.#cookies.set(name!, value!);
    }
    const to = answer.headers.get('location');
    return to === null ? answer.text() : this.get(to);
  }
}

test('a run in which every answer is approved and released on the page', async () => {
  const data = newFolder();
  writeTrials(data, STUDIES);
  const federation = await Federation.make(
    Object.fromEntries(STUDIES.map((study) => [study, join(data, `${study}.csv`)])),
  );
  fs.writeFileSync(federation.path('passphrase'), `${PASSPHRASE}\n`);
  const port = await freePort();
  const config = JSON.parse(fs.readFileSync(federation.path('A.yaml'), 'utf8')) as object;
  const page = { listen: `127.0.0.1:${port}` };
  federation.write('A.yaml', { ...config, agreement: 'A.agreement.yaml', page });
  federation.write('A.agreement.yaml', {
    agreement: 1,
    name: 'DSA 2026-014',
    until: '9999-12-31',
    approval: 'each-release',
    variables: ['arm', 'age', 'centre'],
    outcomes: ['y'],
    families: ['gaussian'],
  });
  const made = concordat([
    'agent',
    'custodian',
    'Vera Oak',
    '--config',
    federation.path('A.yaml'),
    '--passphrase-file',
    federation.path('passphrase'),
  ]);
  assert.equal(await made.exit, 0, made.output);
  let waits = false;
  const coordinator = federation.coordinator((event) => {
    waits ||= event['event'] === 'custodian' && event['study'] === 'A';
  });
  const agents = STUDIES.map((study) => federation.agent(study));
  await until(() => waits, 'the coordinator to know that A waits');

  const visitor = new Visitor(`http://127.0.0.1:${port}`);
  const wrong = await visitor.submit('/sign-in', /sign-in/, { name: 'Vera Oak', passphrase: 'wrong' });
  assert.match(wrong, /<title>Not done/);
  const overview = await visitor.submit('/sign-in', /sign-in/, { name: 'Vera Oak', passphrase: PASSPHRASE });
  assert.match(overview, /1 plan to approve or refuse/);
  const plan = /href="(\/plans\/[0-9a-f]{32}\/[0-9a-f]{64})"/.exec(overview)![1]!;
  const preview = await visitor.get(`${plan}/preview`);
  for (const told of ['effect', 'by-centre', 'Estimates by term', 'Nothing of it was sent'])
    assert.ok(preview.includes(told), preview);
  assert.ok(!entriesOf(federation.log('A')).some(({ type }) => type === 'stageOneEstimate'));
  const approved = await visitor.submit(plan, /approve$/, { read: 'yes', note: 'SECRET' });
  assert.match(approved, /<title>Approved/);
  assert.match(approved, /<strong>approved<\/strong>/);

  let running = true;
  const ended = coordinator.exit.then((status) => {
    running = false;
    return status;
  });
  const released: string[] = [];
  while (running) {
    await until(() => !running || heldIn(federation) > 0, 'an answer to wait, or the end');
    if (running) released.push(await visitor.submit('/releases', /release$/, { read: 'yes' }));
  }
  assert.equal(await ended, 0);
  assert.ok(released.length > 0);
  for (const answer of released) assert.match(answer, /<title>Released/);
  const { sites } = resultOf(federation.path('out')).run;
  assert.ok(sites.every(({ status }) => status === 'answered'));
  const estimates = entriesOf(federation.log('A')).filter(
    ({ kind, type }) => kind === 'sent' && type === 'stageOneEstimate',
  );
  const left = await visitor.get('/left');
  for (const { n } of estimates) {
    assert.ok(left.includes(`/left/${n}"`));
    assert.match(await visitor.get(`/left/${n}`), /Estimates by term/);
  }
  for (const place of ['/', '/agreement', '/connection', '/log', '/plans']) {
    assert.doesNotMatch(await visitor.get(place), /This did not work|NaN|undefined/, place);
  }
  for (const agent of agents) await agent.kill('SIGTERM');
});

/** How many of A's answers are held and have not left. */
function heldIn(federation: Federation): number {
  const entries = entriesOf(federation.log('A'));
  const left = new Set(entries.flatMap(({ kind, task }) => (kind === 'sent' ? (task ?? []) : [])));
  return entries.filter(({ detail, task }) => detail?.['held'] !== undefined && !left.has(task ?? '')).length;
}
