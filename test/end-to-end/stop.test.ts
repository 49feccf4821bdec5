/** Programs end when they are told to, and when they cannot start: nothing is held open by what will never come. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { entriesOf, Federation, newFolder, until, writeTrials, type Program } from './federation.ts';

/** Milliseconds: shorter than the coordinator's hold of a call, and than the plan's time limit. */
const timeout = 20_000;

let federation: Federation;
let coordinator: Program;
before(async () => {
  federation = await federationOf();
  coordinator = federation.coordinator();
});
after(() => coordinator.kill());

async function federationOf(): Promise<Federation> {
  const data = newFolder();
  writeTrials(data, ['A', 'B']);
  return Federation.make({ A: `${data}/A.csv`, B: `${data}/B.csv` });
}

test('an agent whose call is held ends at once, with the stop in its log', { timeout }, async () => {
  const agent = federation.agent('A');
  const log = federation.log('A');
  await until(() => entriesOf(log).some(({ kind }) => kind === 'sent'), 'an answer of the agent');
  assert.equal(await agent.kill('SIGTERM'), 0);
  assert.equal(entriesOf(log).at(-1)?.kind, 'stop');
});

test('a coordinator that cannot listen says so and ends, with the stop in its log', { timeout }, async () => {
  const second = await federationOf();
  const config = JSON.parse(readFileSync(second.path('coordinator.yaml'), 'utf8')) as object;
  second.write('coordinator.yaml', { ...config, listen: `127.0.0.1:${federation.port}` });
  const program = second.coordinator();
  assert.equal(await program.exit, 2);
  assert.match(program.output, /config\/invalid at 127\.0\.0\.1:\d+: the address cannot be listened on/);
  assert.equal(entriesOf(second.log('coordinator')).at(-1)?.kind, 'stop');
});

test('TLS files that are missing or no PEM are faults of the configuration, named', { timeout }, async () => {
  const broken = await federationOf();
  writeFileSync(broken.path('A.tls.key'), 'not a key');
  writeFileSync(broken.path('coordinator.crt'), 'no certificate');
  const config = JSON.parse(readFileSync(broken.path('B.yaml'), 'utf8')) as object;
  broken.write('B.yaml', { ...config, tls: { ca: 'ca.crt', certificate: 'gone.crt', key: 'B.tls.key' } });
  for (const [program, message] of [
    [broken.agent('A'), /config\/invalid at tls: /],
    [broken.coordinator(), /config\/invalid at tls: /],
    [broken.agent('B'), /config\/invalid at .*gone\.crt: the file cannot be read/],
  ] as const) {
    assert.equal(await program.exit, 2);
    assert.match(program.output, message);
  }
});

test(
  'a coordinator that is told to stop ends in order, and goes on when it is started again',
  { timeout },
  async () => {
    const third = await federationOf();
    const first = third.coordinator();
    const log = third.log('coordinator');
    await until(() => entriesOf(log).some(({ kind }) => kind === 'sent'), 'an offer in the log');
    assert.equal(await first.kill('SIGTERM'), 143);
    assert.equal(entriesOf(log).at(-1)?.kind, 'stop');
    assert.match(first.output, /process\/stopped/);
    const runs = (): Set<string | undefined> => new Set(entriesOf(log).map(({ run }) => run));
    const second = third.coordinator();
    await until(() => entriesOf(log).filter(({ kind }) => kind === 'start').length === 2, 'the second start');
    assert.equal(runs().size, 1);
    await second.kill();
  },
);
