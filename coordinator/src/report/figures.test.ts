import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StudyResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { figures } from './figures.ts';
import { analysed, assertWellFormed, bcgStudies, BY_AGE, input, MAIN, MISSING, PLAN } from './testing.ts';

/** Text of the figure as it is read, title and description apart. */
function words(svg: string): string[] {
  return [...svg.matchAll(/<text[^>]*>(?:<title>[^<]*<\/title>)?([^<]*)<\/text>/g)].map(
    (match) => match[1] ?? '',
  );
}

function shapes(svg: string, name: string): number {
  return svg.split(`class="${name}"`).length - 1;
}

/** Studies with normal estimates made by a fixed rule. */
function many(k: number, scale = 1): StudyResult[] {
  return Array.from({ length: k }, (_, i) => ({
    study: `Trial ${i + 1}`,
    status: 'included',
    participants: { control: 100 + i, active: 101 + i, left_out: 0 },
    events: { control: 20, active: 18 },
    estimates: [{ term: 'treatment', estimate: scale * Math.sin(i + 1), se: scale * (0.2 + 0.01 * (i % 7)) }],
  }));
}

function only(planned: Analysis, studies: readonly StudyResult[], measure: string, plan = PLAN): string {
  const made = figures(
    input({ [planned.id]: analysed(planned, studies, measure) }, { ...plan, analyses: [planned] }),
  );
  assert.equal(made.length, 1);
  const svg = made[0]?.svg ?? '';
  assertWellFormed(svg);
  return svg;
}

test('a forest plot has a square, counts, estimate and weight for every study, a diamond and a prediction interval', () => {
  const svg = only(MAIN, [...bcgStudies(), ...MISSING], 'log odds ratio');
  const text = words(svg);
  assert.equal(shapes(svg, 'square'), 13);
  assert.equal(shapes(svg, 'diamond'), 1);
  for (const expected of [
    'Aronson 1948',
    '4/123',
    '11/139',
    '0.39',
    '[0.12, 1.26]',
    'Odds ratio',
    '[95% CI]',
    '95% prediction interval',
    '← Fewer events with active',
    'More events with active →',
    'Refused: fewer than 20 participants in the analysis set',
    'Excluded: an arm has no event',
    'Unreachable: no answer within the time limit',
    '0/41',
    '100%',
  ]) {
    assert.ok(text.includes(expected.replaceAll('&', '&amp;')), expected);
  }
  assert.ok(text.some((line) => line.startsWith('Heterogeneity: τ² = 0.338') && line.includes('I² = 92.1%')));
});

test('a mean difference has a plain axis, numbers of participants only, and minus signs', () => {
  const plan: ExpandedPlan = { ...PLAN, outcome: { kind: 'continuous', variable: 'sbp' } };
  const text = words(only(MAIN, many(5, 10), 'mean difference', plan));
  assert.ok(text.includes('Mean difference'));
  assert.ok(!text.includes('Mean difference (log scale)'));
  assert.ok(text.includes('← Lower with active'));
  assert.ok(text.includes('n') && text.includes('101'));
  assert.ok(text.some((line) => /^−\d/.test(line)));
  assert.ok(text.every((line) => !/(^|\s|\[)-\d/.test(line)));
});

test('one study: its own diamond, no prediction interval, and words where heterogeneity would be', () => {
  const svg = only(MAIN, many(1), 'log hazard ratio');
  const text = words(svg);
  assert.equal(shapes(svg, 'diamond'), 1);
  assert.ok(!text.includes('95% prediction interval'));
  assert.ok(text.some((line) => line.includes('τ² –') && line.includes('one study')));
  assert.ok(text.some((line) => line.startsWith('Prediction interval: not computed')));
});

test('120 studies: rows do not overlap and nothing is left out', () => {
  const svg = only(MAIN, many(120), 'log hazard ratio');
  assert.equal(shapes(svg, 'square'), 120);
  const rows = [...svg.matchAll(/<text x="12" y="([\d.]+)"[^>]*>Trial \d+<\/text>/g)].map((match) =>
    Number(match[1]),
  );
  assert.equal(rows.length, 120);
  for (const [i, y] of rows.entries()) if (i > 0) assert.ok(y - (rows[i - 1] ?? y) >= 20);
});

test('an interval beyond the axis is cut with an arrowhead and says so', () => {
  const wild: StudyResult = {
    ...many(1)[0]!,
    study: 'Wild',
    estimates: [{ term: 'treatment', estimate: 0.5, se: 30 }],
  };
  const svg = only(MAIN, [...many(8), wild], 'log odds ratio');
  assert.ok(svg.includes('<path d="M'));
  assert.ok(words(svg).some((line) => line.startsWith('Arrowheads')));
});

test('a long name is cut with the whole name kept', () => {
  const name = 'A trial with a name that goes on and on far beyond any column of any figure';
  const svg = only(MAIN, [{ ...many(2)[0]!, study: name }, many(2)[1]!], 'log odds ratio');
  assert.ok(svg.includes(`<title>${name}</title>`));
  assert.ok(words(svg).some((line) => line.startsWith('A trial with') && line.endsWith('…')));
});

test('an effect modifier gives figures of the within-trial interaction and of the effect over it', () => {
  const studies = bcgStudies(BY_AGE.pool.terms);
  const made = figures(input({ 'by-age': analysed(BY_AGE, studies) }, { ...PLAN, analyses: [BY_AGE] }));
  assert.deepEqual(
    made.map(({ name }) => name),
    ['by-age.svg', 'by-age-treatment-age-within.svg', 'by-age-modifier.svg'],
  );
  const text = words(made[1]?.svg ?? '');
  assert.ok(text.includes('Ratio of odds ratios'));
  assert.ok(text.includes('← Odds ratio lower with higher age'));
  assert.ok(!text.includes('Weight'));
});

test('without a treatment the counts are of everyone and an intercept has no line of no effect', () => {
  const prevalence: Analysis = {
    ...MAIN,
    columns: MAIN.columns.slice(0, 1),
    pool: { ...MAIN.pool, terms: ['(intercept)'] },
  };
  const studies = many(4).map((study) => ({
    ...study,
    participants: { total: 50, left_out: 0 },
    events: { total: 10 },
    estimates: [{ term: '(intercept)', estimate: -1.4, se: 0.3 }],
  }));
  const text = words(only(prevalence, studies, 'log odds', { ...PLAN, treatment: null }));
  assert.ok(text.includes('10/50'));
  assert.ok(text.includes('Odds'));
  assert.ok(!text.some((line) => line.includes('active')));
});

test('each of several arms is drawn against control', () => {
  const arm = (code: number): Analysis['columns'][number] => ({
    term: `treatment[${code}]`,
    role: 'treatment',
    product: [{ kind: 'treatment', arm: code }],
  });
  const planned: Analysis = {
    ...MAIN,
    columns: [arm(1), arm(2)],
    pool: { ...MAIN.pool, ci: 'normal', terms: ['treatment[1]', 'treatment[2]'] },
  };
  const studies = many(6).map((study, i) => ({
    ...study,
    participants: { control: 10, 1: 11, 2: 12, left_out: 0 },
    events: { control: 1, 1: 2, 2: 3 },
    estimates: planned.pool.terms.map((term, t) => ({ term, estimate: Math.sin(i + t), se: 0.2 + i / 50 })),
  }));
  const plan: ExpandedPlan = {
    ...PLAN,
    treatment: { variable: 'dose', control: 0, active: [1, 2] },
    analyses: [planned],
  };
  const made = figures(input({ main: analysed(planned, studies) }, plan));
  assert.equal(made.length, 2);
  const text = words(made[1]?.svg ?? '');
  assert.ok(text.includes('3/12') && text.includes('1/10') && !text.includes('2/11'));
  assert.ok(text.includes('← Fewer events with arm 2'));
});

test('file names are safe and differ even where ids differ by case or by marks alone', () => {
  const analyses = ['a/b', 'a b', 'A-b', '..'].map((id) => ({ ...MAIN, id }));
  const outcome = analysed(MAIN, many(3));
  const made = figures(
    input(Object.fromEntries(analyses.map(({ id }) => [id, outcome])), { ...PLAN, analyses }),
  );
  const names = made.map(({ name }) => name);
  for (const name of names) assert.match(name, /^[A-Za-z0-9_-]+\.svg$/);
  assert.equal(new Set(names.map((name) => name.toLowerCase())).size, 4);
});
