/**
 * A coordinator and two agents in containers, with keys and certificates of a PKI of the consortium's own, sites listed in the coordinator's
 * configuration, and a plan that the sites' agreements name as template. Needs a Docker engine and the images that
 * `deploy/build-images.sh` makes.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeAuthority, type PartyKeys } from '@concordat/cli/local/keys.ts';
import { buildAnalysisSet } from '@concordat/node-agent/data/design.ts';
import { loadTable } from '@concordat/node-agent/data/load.ts';
import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import type { StartedTestContainer } from 'testcontainers';
import { stringify } from 'yaml';
import { generate } from '../../examples/hypertension/generate.ts';
import { closedNetwork, edit, exitOf, hostFolder, party, start, tearDown, type Party } from './support.ts';

const STUDIES = ['FULMAR', 'IBIS'];
const PLAN = `plan: 1
id: containers
treatment: {variable: treat, control: 0, active: 1}
outcome: {kind: time-to-event, time: cvd_days, event: cvd_event}
analyses:
  - {id: cvd, approach: two-stage, model: {family: cox, adjust: [age, sex]}, pool: {tau2: REML, ci: HKSJ}}
`;
const AGREEMENT = stringify({
  agreement: 1,
  name: 'containers',
  until: '9999-12-31',
  approval: 'matching-template',
  templates: ['plan.yaml'],
  variables: 'all',
  outcomes: 'all',
  families: 'all',
});

const directory = hostFolder('federation');
let consortium: Party;
let coordinator: StartedTestContainer;

const recordsOf = (study: string): string => generate().find(({ file }) => file === `${study}.csv`)!.text;

/** Puts the party's own keys, and what else it is given, where its program looks for them. */
function equip(of: Party, name: string, more: Readonly<Record<string, string>>): void {
  for (const file of ['ca.crt', `${name}.crt`, `${name}.tls.key`, `${name}.signing.key`])
    edit(of, file, readFileSync(join(directory, file), 'utf8'));
  for (const [file, content] of Object.entries(more)) edit(of, file, content);
}

const tls = (name: string): object => ({ ca: 'ca.crt', certificate: `${name}.crt`, key: `${name}.tls.key` });

before(async () => {
  const authority = await makeAuthority(directory);
  const coordinatorKeys = await authority.issue('coordinator', 'coordinator', { hosts: ['coordinator'] });
  const siteKeys = new Map<string, PartyKeys>();
  for (const study of STUDIES) siteKeys.set(study, await authority.issue(study, study, null));
  const network = await closedNetwork('federation');
  const plain = { network, environment: {}, mounts: {} };

  consortium = party({ name: 'coordinator', image: 'concordat-coordinator', ...plain });
  const configuration = stringify({
    coordinator: 1,
    listen: '0.0.0.0:8443',
    health: '127.0.0.1:8090',
    tls: tls('coordinator'),
    signing_key: 'coordinator.signing.key',
    state: 'journal.sqlite',
    log: 'log',
    sites: [...siteKeys].map(([study, { publicKey, fingerprint }]) => ({
      study,
      key: publicKey,
      certificate: fingerprint,
    })),
  });
  equip(consortium, 'coordinator', { 'coordinator.yaml': configuration, 'plan.yaml': PLAN });
  coordinator = await start(consortium, [
    '--config',
    'coordinator.yaml',
    '--plan',
    'plan.yaml',
    '--out',
    'out',
  ]);
  for (const study of STUDIES) {
    const site = party({ name: study.toLowerCase(), image: 'concordat-node-agent', ...plain });
    equip(site, study, {
      'agent.yaml': stringify({
        agent: 1,
        study,
        coordinator: 'coordinator:8443',
        coordinator_key: coordinatorKeys.publicKey,
        tls: tls(study),
        signing_key: `${study}.signing.key`,
        data: 'records.csv',
        agreement: 'agreement.yaml',
        log: 'log',
        health: '127.0.0.1:8080',
      }),
      'agreement.yaml': AGREEMENT,
      'plan.yaml': PLAN,
      'records.csv': recordsOf(study),
    });
    await start(site, ['--config', 'agent.yaml']);
  }
});

after(tearDown);

test('the run ends with every analysis done, equal to what the same code gives on the records themselves', async () => {
  assert.equal(await exitOf(coordinator), 0);
  const result = JSON.parse(readFileSync(join(consortium.folder, 'out/result.json'), 'utf8')) as Result;
  const plan = expandPlan(parsePlan(PLAN, 'plan'));
  const [analysis] = plan.analyses;
  assert.equal(result.analyses['cvd']!.status, 'done');
  mkdirSync(join(directory, 'records'));
  for (const [index, study] of STUDIES.entries()) {
    const file = join(directory, 'records', `${study}.csv`);
    writeFileSync(file, recordsOf(study));
    const { data, treatmentTerms } = buildAnalysisSet(plan, analysis!, await loadTable(file, plan, null));
    const fit = fitStageOne(data, { family: 'cox', ties: 'efron' }, treatmentTerms);
    assert.ok(fit.status === 'fitted');
    const released = result.analyses['cvd']!.studies[index]!;
    assert.equal(released.study, study);
    assert.deepEqual(
      released.estimates?.map(({ estimate }) => estimate),
      [...fit.estimates],
    );
  }
});
