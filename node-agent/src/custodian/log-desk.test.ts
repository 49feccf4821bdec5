/** What custodians see of a site's log, and what they sign of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldAnswers } from '../egress/held.ts';
import { kinds, offer, planDigest, question, RUN, Site, vera } from '../agreement/hospital.ts';
import { PLAN, STUDY } from '../testing.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { Decision } from './desk.ts';
import { LogDesk } from './log-desk.ts';

/** The desk beside a running agent, and how often a body was read from the disk. */
function deskOf(hospital: Site): { readonly desk: LogDesk; readonly read: { bodies: number } } {
  const read = { bodies: 0 };
  const desk = new LogDesk({
    study: STUDY,
    log: {
      entries: () => hospital.log.entries,
      body: (entry) => {
        read.bodies += 1;
        return hospital.log.body(entry);
      },
    },
    held: new HeldAnswers(hospital.state),
    state: hospital.state,
    agreement: () => hospital.agreement!,
    snapshot: () => Promise.resolve(hospital.data),
    preview: () => Promise.resolve([]),
    now: () => hospital.now,
  });
  return { desk, read };
}

test('each offer is read once, however many there are and however often one looks', async () => {
  const hospital = new Site();
  const offers = 20;
  for (let n = 1; n <= offers; n++) await hospital.send(offer(n, { plan: `${PLAN}title: plan ${n}\n` }));
  await hospital.send(offer(100));
  await hospital.say(hospital.approval({ run: toHex(RUN(100)) }));
  await hospital.send(question(100), question(100, 3));
  const { desk, read } = deskOf(hospital);
  // The offers, and the approval.
  const shown = desk.plans();
  assert.equal(shown.length, offers + 1);
  assert.equal(read.bodies, offers + 2);
  const [newest] = desk.plans();
  // What is explained once stands until the agreement changes.
  assert.equal(newest!.explanation, shown[0]!.explanation);
  assert.equal(desk.plan(newest!.run, newest!.digest)!.explanation, newest!.explanation);
  assert.equal(read.bodies, offers + 2);
  const { messages } = desk.left(0, 2);
  assert.deepEqual(
    messages.map(({ terms }) => terms.length > 0),
    [true, true],
  );
  // Two answers and their questions; then the answers alone.
  assert.equal(read.bodies, offers + 6);
  desk.left(0, 2);
  assert.equal(read.bodies, offers + 8);
  hospital.agreement = { ...hospital.agreement!, digest: '1'.repeat(64), variables: ['arm'] };
  assert.notDeepEqual(desk.plans()[0]!.explanation.faults, shown[0]!.explanation.faults);
  assert.equal(read.bodies, offers + 8);
});

test('a plan is compared with the last other one of its name, or else with one of the same questions', async () => {
  const hospital = new Site();
  const other = PLAN.replace('id: tiny', 'id: other');
  const unrelated = PLAN.replace('variable: y', 'variable: z').replace('id: tiny', 'id: unrelated');
  const wider = `${PLAN}title: wider\n`;
  await hospital.send(
    offer(1),
    offer(2),
    offer(3, { plan: other }),
    offer(4, { plan: unrelated }),
    offer(5, { plan: wider }),
    offer(6, { plan: wider }),
  );
  const { desk } = deskOf(hospital);
  const changed = desk.plans().map(({ explanation }) => explanation.differences.length > 0);
  assert.deepEqual(changed.toReversed(), [false, false, false, false, true, true]);
});

test('another plan that is offered under an accepted run does not take its place', async () => {
  const hospital = new Site();
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  await hospital.send(offer(1, { plan: `${PLAN}title: another\n` }));
  const { desk } = deskOf(hospital);
  assert.deepEqual(
    desk.plans().map(({ digest, decision }) => [digest, decision]),
    [[planDigest, 'approved']],
  );
});

/** Approves the newest plan as it is shown now. */
async function approvalOf(desk: LogDesk): Promise<Decision> {
  const { digest, run, offer: task, agreement } = desk.plans()[0]!;
  const shown = { offer: task, agreement: agreement.digest, data: await desk.records() };
  return { kind: 'approve', plan: digest, run, shown, note: '' };
}

const isChanged = (what: RegExp) => (error: unknown) =>
  error instanceof ConcordatError && error.code === 'approval/changed' && what.test(error.message);

const changes: Readonly<Record<string, readonly [(hospital: Site) => unknown, RegExp]>> = {
  'the roster': [(hospital) => hospital.send(offer(1)), /the sites/],
  'the agreement': [
    (hospital) => (hospital.agreement = { ...hospital.agreement!, digest: '7'.repeat(64) }),
    /the agreement/,
  ],
  'the records': [(hospital) => (hospital.data = toHex(sha256('other records'))), /the records/],
};
for (const [what, [change, told]] of Object.entries(changes)) {
  test(`an approval is signed of what was shown, and of nothing else: ${what} changed since`, async () => {
    const hospital = new Site();
    await hospital.send(offer(1, { sites: [STUDY, 'B', 'C'], minimum: 3 }));
    const { desk } = deskOf(hospital);
    const decision = await approvalOf(desk);
    await change(hospital);
    await assert.rejects(desk.decide(decision, vera), isChanged(told));
    assert.deepEqual(await hospital.afterStatements(), []);
    await desk.decide(await approvalOf(desk), vera);
    assert.deepEqual(kinds(await hospital.afterStatements()), ['planAccepted']);
  });
}

test('an answer is released as it was shown, and as nothing else', async () => {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  await hospital.send(question(1));
  const { desk } = deskOf(hospital);
  const { task, held } = desk.releases()[0]!;
  const payload = toHex(sha256('another answer'));
  await assert.rejects(
    desk.decide({ kind: 'release', task, payload, note: '' }, vera),
    isChanged(/the answer/),
  );
  await desk.decide({ kind: 'release', task, payload: held, note: '' }, vera);
  assert.deepEqual(kinds(await hospital.afterStatements()), ['stageOneEstimate']);
});

const isDatedLater = (error: unknown): boolean =>
  error instanceof ConcordatError &&
  error.code === 'approval/unknown' &&
  /2026-02-01.*still to come/.test(error.message);
const [TODAY, AHEAD] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-02-01T00:00:00Z')];

for (const [when, take] of [
  ['taken', (hospital: Site) => hospital.afterStatements()],
  ['waiting', () => Promise.resolve([])],
] as const) {
  test(`after a refusal signed with a clock that was ahead, ${when}, no approval is signed that would be dropped`, async () => {
    const hospital = new Site();
    await hospital.send(offer(1));
    const { desk } = deskOf(hospital);
    const { run, digest: plan } = desk.plans()[0]!;
    const refuse = { kind: 'refuse', run, plan, objection: 'other', note: '' } as const;
    hospital.now = AHEAD;
    await desk.decide(refuse, vera);
    await take(hospital);
    hospital.now = TODAY;
    await hospital.send(offer(2));
    const again = await approvalOf(desk);
    await assert.rejects(desk.decide(again, vera), isDatedLater);
    // Another no is never too early, and another plan is not concerned.
    await desk.decide(refuse, vera);
    await hospital.send(offer(3, { plan: `${PLAN}title: another\n` }));
    await desk.decide(await approvalOf(desk), vera);
    assert.ok(kinds(await hospital.afterStatements()).includes('planAccepted'));
    hospital.now = new Date(AHEAD.getTime() + 1);
    await desk.decide(again, vera);
    assert.ok(kinds(await hospital.afterStatements()).includes('planAccepted'));
    assert.deepEqual(hospital.faults(), []);
  });
}

test('after an answer was withheld with a clock that was ahead, no release is signed that would be dropped', async () => {
  const hospital = new Site({ approval: 'each-release' });
  await hospital.send(offer(1));
  await hospital.say(hospital.approval());
  await hospital.send(question(1));
  const { desk } = deskOf(hospital);
  const { task, held: payload } = desk.releases()[0]!;
  hospital.now = AHEAD;
  await desk.decide({ kind: 'withhold', task, payload, note: '' }, vera);
  hospital.now = TODAY;
  await assert.rejects(desk.decide({ kind: 'release', task, payload, note: '' }, vera), isDatedLater);
});

test('a smaller roster than one that was answered needs an approval of its own, and can be given one', async () => {
  const two = { sites: [STUDY, 'B'], minimum: 2 };
  const hospital = new Site();
  const { desk } = deskOf(hospital);
  await hospital.send(offer(1, two));
  await hospital.say(hospital.approval(two));
  const again = { run: toHex(RUN(2)), digest: planDigest };
  await hospital.send(offer(2, two));
  assert.equal((await desk.standingApproval(again))?.custodian, 'Vera');
  await hospital.send(offer(3, { sites: [STUDY, 'B', 'C'], minimum: 2 }), offer(4, two));
  assert.equal(await desk.standingApproval({ run: toHex(RUN(4)), digest: planDigest }), null);
  await desk.decide(await approvalOf(desk), vera);
  assert.deepEqual(kinds(await hospital.afterStatements()), ['planAccepted']);
});
