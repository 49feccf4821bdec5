/** The report of the example federation, as a browser lays it out. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { generate } from '../../examples/hypertension/generate.ts';
import { startBrowser, type Browser, type Page } from './chromium.ts';

const root = join(import.meta.dirname, '../..');
const directory = mkdtempSync(join(tmpdir(), 'report-'));
const out = join(directory, 'out');
const url = pathToFileURL(join(out, 'report.html')).href;
let browser: Browser;
let page: Page;

before(async () => {
  const data = join(directory, 'data');
  mkdirSync(data);
  for (const { file, text } of generate()) writeFileSync(join(data, file), text);
  const plan = join(root, 'examples/hypertension/plan.yaml');
  const command = ['cli/bin/concordat.mjs', 'local', '--plan', plan, '--data', data, '--out', out];
  execFileSync(process.execPath, command, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  browser = startBrowser();
  page = await browser.open(url);
});

after(async () => {
  await browser[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

test('asks nothing of the network, and the browser finds no fault', () => {
  assert.deepEqual(page.requests, [url]);
  assert.deepEqual(page.complaints, []);
});

test('names the plan, every trial and the refusal', async () => {
  const text = String(await page.evaluate('document.body.innerText'));
  assert.match(text, /Intensive blood-pressure lowering and time to first cardiovascular event/);
  for (const { file } of generate()) assert.ok(text.includes(file.replace('.csv', '')), file);
  assert.match(text, /WREN[^\n]*refused|refused[^]*WREN/i);
  assert.doesNotMatch(text, /\b(NaN|undefined|null|Infinity)\b|\[object/);
});

test('one stage stands beside two, with predicted study effects, the effect over age and subgroups', async () => {
  const headings = String(
    await page.evaluate('[...document.querySelectorAll("h2")].map((h) => h.innerText).join()'),
  );
  assert.match(headings, /One stage and two stages side by side/);
  const figures = readdirSync(join(out, 'figures'));
  for (const file of [
    'cvd-one-stage-study-effects.svg',
    'cvd-by-age-modifier.svg',
    'cvd-by-sex-subgroups.svg',
  ])
    assert.ok(figures.includes(file), file);
});

/** Elements that stick out of the window, or of their figure, and text on top of other text in one figure. */
const FAULTS = `(() => {
  const faults = [];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) faults.push('the page scrolls sideways by ' + wide + ' px');
  for (const [index, svg] of [...document.querySelectorAll('svg')].entries()) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => ({ text, box: text.getBoundingClientRect() }));
    for (const { text, box } of texts) {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        faults.push('figure ' + index + ': "' + text.textContent + '" is cut off');
    }
    texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
      const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
      const height = Math.min(a.box.height, b.box.height);
      if (across > 1 && down > height / 2)
        faults.push('figure ' + index + ': "' + a.text.textContent + '" lies on "' + b.text.textContent + '"');
    }));
  }
  return faults;
})()`;

for (const [name, width, scheme, media] of [
  ['wide, light', 1280, 'light', 'screen'],
  ['wide, dark', 1280, 'dark', 'screen'],
  ['as narrow as a telephone', 380, 'light', 'screen'],
  ['printed on A4', 794, 'light', 'print'],
] as const) {
  test(`nothing is cut off or overlaps: ${name}`, async () => {
    await page.show(width, scheme, media);
    await page.evaluate('document.querySelectorAll("details").forEach((details) => (details.open = true))');
    assert.deepEqual(await page.evaluate(FAULTS), []);
  });
}

/** Text whose contrast with the nearest opaque background is below 4.5 (WCAG 2.2, 1.4.3), in the document's own boxes. */
const FAINT = `(() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c.slice(0, 3);
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
  };
  const faint = new Set();
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const style = getComputedStyle(element);
    const own = element.closest('svg') ? style.fill : style.color;
    if (element.closest('svg') && element.tagName !== 'text' && element.tagName !== 'tspan') continue;
    if (!own.startsWith('rgb')) continue;
    const [a, b] = [luminance(rgb(own).slice(0, 3)), luminance(background(element))].toSorted((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.add(element.tagName + ' "' + element.textContent.trim().slice(0, 40) + '"');
  }
  return [...faint];
})()`;

for (const scheme of ['light', 'dark'] as const) {
  test(`text stands out from its background: ${scheme}`, async () => {
    await page.show(1280, scheme);
    assert.deepEqual(await page.evaluate(FAINT), []);
  });
}

test('each figure is also a file that a browser draws by itself', async () => {
  const files = readdirSync(join(out, 'figures'));
  assert.ok(files.length >= 4, `${files.length} figures`);
  for (const file of files) {
    const figure = await browser.open(pathToFileURL(join(out, 'figures', file)).href);
    assert.equal(await figure.evaluate('document.documentElement.tagName'), 'svg', file);
    assert.equal(await figure.evaluate('document.querySelectorAll("parsererror").length'), 0, file);
    assert.deepEqual(figure.complaints, [], file);
  }
});
