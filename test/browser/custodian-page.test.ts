/**
 * The custodian's page in a browser: the whole path by keyboard alone, and every page against axe-core's rules for
 * WCAG 2.2 AA, in light and dark, from 320 px up. The numbers on it are those of real fits to the example's records.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { NOTHING_ANSWERED } from '@concordat/node-agent/data/crossed.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { CUSTODIAN, PASSPHRASE } from '@concordat/web/testing.ts';
import axe from 'axe-core';
import { serveCustodianPage } from '@concordat/node-agent/custodian/page/app.ts';
import {
  DIGEST,
  EXPLANATION,
  HEADER,
  HELD,
  MemoryDesk,
  OFFER,
  RECORDS,
  offeredPlan,
  pageParts,
  RELEASE,
  RUN,
  STATUS,
  TASK,
} from '@concordat/node-agent/custodian/page/testing.ts';
import type { LeftMessage } from '@concordat/node-agent/custodian/desk.ts';
import type { Payload } from '@concordat/node-agent/fit/draft.ts';
import { answer } from '@concordat/node-agent/fit/study.ts';
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import { levelOf } from '@concordat/shared/wire/levels.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';

import { generate } from '../../examples/hypertension/generate.ts';
import { startBrowser, type Browser, type Page } from './chromium.ts';

const directory = mkdtempSync(join(tmpdir(), 'custodian-page-'));
const PLAN = `/plans/${RUN}/${DIGEST}`;
const SECOND = 'ba'.repeat(32);
const REFUSED = `/plans/${RUN}/${SECOND}`;
let browser: Browser;
let page: Page;
let base = '';
let desk: MemoryDesk;
let close: () => Promise<void>;

before(async () => {
  desk = await makeDesk();
  const app = await serveCustodianPage({ listen: '127.0.0.1:0' }, pageParts(desk).parts);
  close = () => app.close();
  base = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  browser = startBrowser();
  page = await browser.open(`${base}/`);
});

after(async () => {
  await browser[Symbol.asyncDispose]();
  await close();
  rmSync(directory, { recursive: true });
});

/** What stage one answers about the example's largest trial, fitted here. */
async function makeDesk(): Promise<MemoryDesk> {
  const trial = generate().find(({ file }) => file.startsWith('ALDER'))!;
  const data = join(directory, trial.file);
  writeFileSync(data, trial.text);
  const text = readFileSync(join(import.meta.dirname, '../../examples/hypertension/plan.yaml'), 'utf8');
  const plan = expandPlan(parsePlan(text, 'plan.yaml'), { sex: [0, 1] });
  const source = { data, map: null };
  const asked = plan.analyses.map(({ id }) => id);
  const fits = await answer({
    kind: 'stage-one',
    source,
    plan,
    analyses: asked,
    policy: DEFAULT_POLICY,
    answered: NOTHING_ANSWERED,
  });
  const levels = await answer({ kind: 'levels', source, plan, variables: ['sex'] });
  const explained = plan.analyses.map((analysis) => ({
    id: analysis.id,
    model: `Fitted to each trial's own records: ${analysis.approach}.`,
    terms: parameterTerms(plan, analysis),
    leaves: ['estimates with their variances and covariances', 'participants and events of each arm'],
  }));
  const payloads: Payload[] = [
    // The gate puts in what may leave: here all of them.
    ...levels.drafts.flatMap(({ evidence }): Payload[] => {
      if (evidence.kind !== 'levels') return [];
      const variables = evidence.variables.map(({ variable, levels: found }) => ({
        variable,
        levels: found.map(({ code }) => levelOf(code)),
      }));
      return [{ $case: 'factorLevels', value: { variables } }];
    }),
    ...fits.drafts.map(({ payload }) => payload),
    { $case: 'objectiveValue', value: { values: [-1963.0415, 2.5, -61.1, 0.25, 1.5, -3] } },
    { $case: 'refusal', value: refusal(Rule.RULE_PARTICIPANTS, 20) },
    { $case: 'runLeft', value: {} },
  ];
  const left = payloads.map((payload, i): LeftMessage => {
    const n = 2 * (payloads.length - i) + 1;
    const analysis = asked[i - levels.drafts.length] ?? '';
    const time = '2026-11-24T10:00:00.000Z';
    const terms = explained.find(({ id }) => id === analysis)?.terms ?? [];
    return {
      n,
      time,
      run: RUN,
      analysis,
      round: 2,
      type: payload.$case,
      task: TASK,
      header: HEADER,
      terms,
      payload,
    };
  });
  const explanation = { ...EXPLANATION, analyses: explained };
  return new MemoryDesk({
    plans: [
      offeredPlan({ explanation, text }),
      offeredPlan({
        digest: SECOND,
        explanation: {
          ...EXPLANATION,
          title: 'Income and blood pressure',
          faults: ['the variable `income` is none that the agreement names'],
        },
      }),
      offeredPlan({ digest: '98'.repeat(32), decision: 'approved', decidedBy: 'template', open: false }),
    ],
    releases: [
      {
        ...RELEASE,
        analysis: 'cvd-adjusted',
        terms: explained[2]!.terms,
        payload: fits.drafts[2]!.payload,
      },
    ],
    left: [...left, ...left.map((message) => ({ ...message, n: message.n - 100 }))],
    previews: fits.drafts.map(({ payload }, i) => ({
      analysis: asked[i]!,
      terms: explained[i]!.terms,
      payload,
      remarks: i === 0 ? ['248 events for 1 parameter'] : [],
    })),
  });
}

/** Tabs on until the element has the focus: what cannot be reached so cannot be used by keyboard. */
async function tabTo(selector: string): Promise<void> {
  for (let i = 0; i < 120; i++) {
    if ((await page.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`)) === true) {
      const ring = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
      assert.equal(ring, 'solid', `the focus on ${selector} is visible`);
      return;
    }
    await page.press('Tab');
  }
  assert.fail(`${selector} is not reached by keyboard`);
}

async function follow(selector: string): Promise<void> {
  await tabTo(selector);
  await page.press('Enter', 'loads');
}

/** What the browser complains of, but that a password manager cannot fill in a list of names: there are few, and it opens at one. */
const complaints = (): string[] =>
  page.complaints.filter((complaint) => !complaint.includes('Password forms should have'));

const heading = (): Promise<unknown> => page.evaluate('document.querySelector("h1").innerText');
const path = (): Promise<unknown> => page.evaluate('location.pathname');

/** What axe-core finds, each with the elements it is about. */
const CHECK = `axe.run(document, {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  preload: false,
}).then(({ violations, passes }) => ({
  checked: passes.length,
  violations: violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, any }) =>
    html.slice(0, 120) + ' ' + any.map(({ message }) => message).join(' ')).join(' | ')),
}))`;

async function accessible(what: string): Promise<void> {
  assert.deepEqual(complaints(), [], what);
  await page.evaluate(`${axe.source}; undefined`);
  for (const scheme of ['light', 'dark'] as const) {
    for (const width of [1280, 320]) {
      await page.show(width, scheme);
      const name = `${what}, ${scheme}, ${width} px`;
      const found = (await page.evaluate(CHECK)) as { checked: number; violations: string[] };
      assert.deepEqual(found.violations, [], name);
      assert.ok(found.checked > 10, name);
      const wide = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      assert.equal(wide, 0, `${name} scrolls sideways`);
    }
  }
  await page.show(1280);
  assert.doesNotMatch(String(await page.evaluate('document.body.innerText')), /undefined|NaN|\[object/, what);
}

test('sign-in: wrong, then right, by keyboard', async () => {
  assert.equal(await path(), '/sign-in');
  await accessible('sign-in');
  await tabTo('#passphrase');
  await page.type('wrong');
  await page.press('Enter', 'loads');
  assert.equal(await heading(), 'Sign in');
  assert.match(String(await page.evaluate('document.querySelector("[role=alert]").innerText')), /passphrase/);
  assert.match(String(await page.evaluate('document.title')), /^Not done/);
  // The browser notes the refusal's status in its console.
  assert.ok(complaints().every((complaint) => complaint.includes('403')));
  await tabTo('#name');
  await tabTo('#passphrase');
  await page.type(PASSPHRASE);
  await page.press('Enter', 'loads');
  assert.equal(await path(), '/');
  assert.match(String(await page.evaluate('document.body.innerText')), new RegExp(CUSTODIAN));
});

test('every page is accessible, in light and dark, wide and at 320 px', async () => {
  page = await browser.open(`${base}/`);
  for (const place of [
    '/',
    '/plans',
    PLAN,
    REFUSED,
    `${PLAN}/preview`,
    '/releases',
    '/left',
    '/left?page=2',
    '/left/7',
    '/agreement',
    '/connection',
    '/log',
    '/audit',
    '/audit?text=nothing',
    '/audit/entry/44',
  ]) {
    await page.visit(`${base}${place}`);
    // Closed, a detail is not looked at.
    await page.evaluate('document.querySelectorAll("details").forEach((each) => (each.open = true))');
    await accessible(place);
  }
});

test('text can be enlarged to 200 %, and the spacing of WCAG 1.4.12 cuts nothing off', async () => {
  for (const place of ['/', PLAN, `${PLAN}/preview`, '/left/7', '/releases']) {
    await page.visit(`${base}${place}`);
    await page.show(640);
    await page.evaluate(`(() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync('html { font-size: 200% } * { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-bottom: 2em !important }');
      document.adoptedStyleSheets = [sheet];
    })()`);
    const cut = await page.evaluate(`(() => {
      const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      const cut = [...document.querySelectorAll('main *, header *')].filter((e) =>
        getComputedStyle(e).overflowX === 'hidden' && e.scrollWidth > e.clientWidth + 1);
      return [wide, ...cut.map((e) => e.outerHTML.slice(0, 80))];
    })()`);
    assert.deepEqual(cut, [0], place);
  }
  await page.show(1280);
});

test('a number that is a code of the data counts as one that left', async () => {
  await page.visit(`${base}/left/19`);
  const text = String(await page.evaluate('document.querySelector("main").innerText'));
  assert.match(text, /Levels of factors/);
  assert.match(text, /Numbers in it\s+2\n/);
  assert.match(text, /sex\s+0\s+sex\s+1/);
});

test('nothing moves, nothing is asked of elsewhere, no script runs', async () => {
  await page.visit(`${base}${PLAN}`);
  assert.deepEqual(await page.evaluate('document.getAnimations().length'), 0);
  assert.equal(await page.evaluate('document.scripts.length'), 0);
  const moving = `[...document.querySelectorAll('*')].filter((e) =>
    getComputedStyle(e).transitionDuration !== '0s' || getComputedStyle(e).animationName !== 'none').length`;
  assert.equal(await page.evaluate(moving), 0);
  const foreign = page.requests.filter((url) => !url.startsWith(base) && !url.startsWith('data:'));
  assert.deepEqual(foreign, []);
  assert.deepEqual(complaints(), []);
});

test('an entry of the log is found and opened by keyboard, with its proof to download', async () => {
  await page.visit(`${base}/audit`);
  await tabTo('#filter-text');
  await page.type('"number":44');
  await page.press('Enter', 'loads');
  assert.match(String(await page.evaluate('location.search')), /text=/);
  assert.equal(await page.evaluate('document.querySelectorAll("main table tbody tr").length'), 1);
  await follow('main a[href="/audit/entry/44"]');
  assert.match(String(await heading()), /^Entry 44/);
  const text = String(await page.evaluate('document.querySelector("main").innerText'));
  assert.match(text, /c2sp\.org\/tlog-proof@v1\s+index 44/);
  await tabTo('main a[href="/audit/entry/44/receipt"]');
});

test('one may skip to the content', async () => {
  await page.visit(`${base}/plans`);
  await page.press('Tab');
  assert.equal(await page.evaluate('document.activeElement.className'), 'skip');
  await page.press('Enter');
  assert.equal(await page.evaluate('location.hash'), '#content');
});

test('the whole path by keyboard: plan, preview, approve, refuse, release, sign out', async () => {
  await page.visit(`${base}/`);
  await follow(`a[href="${PLAN}"]`);
  assert.equal(await heading(), EXPLANATION.title);
  await follow(`form[action="${PLAN}/preview"] button`);
  assert.match(String(await page.evaluate('document.body.innerText')), /Nothing of it was sent/);
  const numbers = String(await page.evaluate('document.querySelector("main").innerText'));
  for (const { payload } of await desk.preview(DIGEST)) {
    if (payload.$case !== 'stageOneEstimate') continue;
    for (const number of [...payload.value.estimates, ...payload.value.vcov]) {
      assert.ok(numbers.includes(String(number)), `${number}`);
    }
  }
  await follow(`main a[href="${PLAN}"]`);
  // Without the tick the browser itself holds the form back.
  await tabTo(`form[action="${PLAN}/approve"] button`);
  await page.press('Enter');
  assert.equal(await page.evaluate('document.querySelector("#read").validity.valueMissing'), true);
  assert.equal(desk.decisions.length, 0);
  await page.visit(`${base}${PLAN}`);
  await tabTo('#read');
  await page.press('Space');
  await tabTo('#approve-note');
  await page.type('as the board decided on 24 November');
  await follow(`form[action="${PLAN}/approve"] button`);
  assert.equal(await path(), PLAN);
  assert.match(String(await page.evaluate('document.title')), /^Approved/);
  await accessible('an approved plan');

  await page.visit(`${base}${REFUSED}`);
  assert.equal(await page.evaluate('document.querySelector("#read")'), null);
  await tabTo('#objection');
  await page.evaluate('(document.querySelector("#objection").value = "variables", undefined)');
  await follow(`form[action="${REFUSED}/refuse"] button`);
  assert.match(String(await page.evaluate('document.title')), /^Refused/);

  await page.visit(`${base}/releases`);
  await tabTo(`#read-${TASK}`);
  await page.press('Space');
  await follow(`form[action="/releases/${TASK}/release"] button`);
  assert.match(String(await page.evaluate('document.body.innerText')), /No answer waits/);
  assert.deepEqual(
    desk.decisions.map(({ decision, by }) => ({ decision, by })),
    [
      {
        decision: {
          kind: 'approve',
          plan: DIGEST,
          run: RUN,
          shown: { offer: OFFER, agreement: '12'.repeat(32), data: RECORDS },
          note: 'as the board decided on 24 November',
        },
        by: CUSTODIAN,
      },
      {
        decision: { kind: 'refuse', plan: SECOND, run: RUN, objection: 'variables', note: '' },
        by: CUSTODIAN,
      },
      { decision: { kind: 'release', task: TASK, payload: HELD, note: '' }, by: CUSTODIAN },
    ],
  );

  await follow('form[action="/sign-out"] button');
  assert.equal(await path(), '/sign-in');
  await page.visit(`${base}${PLAN}`);
  assert.equal(await path(), '/sign-in');
  // The way back shows nothing either: no page was kept.
  assert.doesNotMatch(String(await page.evaluate('document.body.innerText')), new RegExp(STATUS.coordinator));
});
