import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rcsBasis } from '@concordat/shared/models/rcs.ts';
import type { StudyResult } from '@concordat/shared/plan/result-types.ts';
import type { Analysis, DesignColumn, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { figures } from './figures.ts';
import { effectCurve, jointEstimate, modifierGroups, modifierMeans, subgroups } from './modifier-effects.ts';
import { renderReport } from './report.ts';
import {
  analysed,
  assertWellFormed,
  bcgStudies,
  BY_AGE,
  coefficient,
  fitted,
  input,
  MAIN,
  ONE,
  PLAN,
} from './testing.ts';
import { treatmentEffects } from './treatment-effects.ts';

const close = (a: number | undefined, b: number, tolerance = 1e-9): void =>
  assert.ok(a !== undefined && Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `${a} v ${b}`);

const level = (code: string) => ({ kind: 'level', variable: 'grade', level: code, centred: true }) as const;
const arm = { kind: 'treatment', arm: 1 } as const;
const LEVELS = ['b', 'c'];
const grades: readonly DesignColumn[] = LEVELS.map((code) => ({
  term: `treatment:factor(grade)${code}.within`,
  role: 'within',
  product: [arm, level(code)],
}));
const across: readonly DesignColumn[] = LEVELS.map((code) => ({
  term: `treatment:factor(grade)${code}.across`,
  role: 'across',
  product: [arm, { kind: 'study-mean', of: { ...level(code), centred: false } }],
}));
const BY_GRADE: Analysis = {
  ...MAIN,
  id: 'by-grade',
  columns: [...MAIN.columns, ...grades],
  effectModifier: { variable: 'grade', form: 'factor', separate: true },
  pool: { ...MAIN.pool, tau2: 'FE', ci: 'normal', terms: ['treatment', ...grades.map(({ term }) => term)] },
};
const ONE_GRADE: Analysis = {
  ...BY_GRADE,
  id: 'one-grade',
  approach: 'one-stage',
  model: ONE.model,
  columns: [...BY_GRADE.columns, ...across],
};
const GRADED: ExpandedPlan = { ...PLAN, levels: { grade: ['a', 'b', 'c'] }, analyses: [BY_GRADE, ONE_GRADE] };

const graded: StudyResult[] = bcgStudies(BY_GRADE.pool.terms).map((study, i) => ({
  ...study,
  modifier_means: LEVELS.map((code, k) => ({ term: `factor(grade)${code}`, mean: 0.2 + 0.1 * k + 0.01 * i })),
}));

/** One-stage coefficients whose covariances are not zero. */
function oneGrade(): ReturnType<typeof fitted> {
  const columns = [...grades, ...across].map(({ term }, i) => coefficient(term, 0.1 * (i + 1), 0.2));
  const coefficients = [coefficient('treatment', -0.5, 0.3), ...columns];
  const vcov = coefficients.map((a, i) => coefficients.map((b, j) => a.se! * b.se! * (i === j ? 1 : 0.3)));
  return fitted(coefficients, graded, { vcov });
}

test('the covariance of two stages is the one that the published standard errors come from', () => {
  for (const planned of [
    BY_AGE,
    { ...BY_AGE, pool: { ...BY_AGE.pool, tau2: 'FE', ci: 'normal' } } as Analysis,
  ]) {
    const outcome = analysed(planned, bcgStudies(planned.pool.terms));
    const joint = jointEstimate(outcome, planned)!;
    joint.terms.forEach((term, i) => {
      const pooled = outcome.pooled.find((entry) => entry.term === term)!;
      close(Math.sqrt(joint.vcov[i]![i]!), pooled.se!, 1e-6);
      assert.equal(joint.df, pooled.df);
    });
  }
});

test('subgroup effects differ by the within-trial interactions and average to the overall effect', () => {
  for (const [planned, outcome] of [
    [BY_GRADE, analysed(BY_GRADE, graded)],
    [ONE_GRADE, oneGrade()],
  ] as const) {
    const joint = jointEstimate(outcome, planned)!;
    const group = modifierGroups(planned)[0]!;
    const means = modifierMeans(outcome, group)!;
    const found = subgroups(joint, group, 'a', means)!;
    const [a, b, c] = found.levels.map(({ estimate }) => estimate);
    const interaction = (k: number): number => joint.estimates[joint.terms.indexOf(grades[k]!.term)]!;
    close(b! - a!, interaction(0));
    close(c! - a!, interaction(1));
    close((1 - means[0]! - means[1]!) * a! + means[0]! * b! + means[1]! * c!, found.overall.estimate);
    if (planned === BY_GRADE) continue;
    // Three subgroups: floating variances are exact.
    const at = joint.terms.indexOf(grades[0]!.term);
    assert.ok(found.error !== null && found.error < 1e-6);
    close(found.levels[0]!.floatingSe! ** 2 + found.levels[1]!.floatingSe! ** 2, joint.vcov[at]![at]!, 1e-6);
  }
});

test('a one-stage treatment effect is told at the mean, where that is known', () => {
  const outcome = oneGrade();
  const [effect] = treatmentEffects(outcome, ONE_GRADE);
  const means = modifierMeans(outcome, modifierGroups(ONE_GRADE)[0]!)!;
  assert.ok(effect?.atMean);
  close(effect.estimate!, -0.5 + 0.3 * means[0]! + 0.4 * means[1]!);
  const unknown = { ...outcome, studies: outcome.studies.map(({ modifier_means: _, ...study }) => study) };
  assert.deepEqual(treatmentEffects(unknown, ONE_GRADE), []);
});

test('a spline’s curve is the difference of its columns, with no width at the reference', () => {
  const knots = [40, 55, 65, 80];
  const spline: DesignColumn[] = [0, 1, 2].map((index) => ({
    term: `treatment:rcs(age)${index + 1}.within`,
    role: 'within',
    product: [arm, { kind: 'rcs', variable: 'age', knots, index, centred: true }],
  }));
  const planned: Analysis = {
    ...ONE_GRADE,
    columns: [...MAIN.columns, ...spline],
    effectModifier: { variable: 'age', form: 'rcs', separate: true },
  };
  const outcome = fitted(
    [
      coefficient('treatment', -0.5, 0.3),
      ...spline.map(({ term }, i) => coefficient(term, 0.05 * (i + 1), 0.01)),
    ],
    graded,
  );
  const joint = jointEstimate(outcome, planned)!;
  const [at60, at70] = effectCurve(joint, modifierGroups(planned)[0]!, 60, [60, 70])!;
  assert.equal(at60?.se, 0);
  const steps = [0, 1, 2].map((index) => rcsBasis(70, knots, index) - rcsBasis(60, knots, index));
  close(
    at70?.estimate,
    steps.reduce((sum, step, i) => sum + step * 0.05 * (i + 1), 0),
  );
  close(at70?.se, 0.01 * Math.hypot(...steps));
  const [drawn] = figures(input({ 'one-grade': outcome }, { ...GRADED, analyses: [planned] }));
  assert.ok(drawn !== undefined);
  assert.equal(drawn.name, 'one-grade-modifier.svg');
  assertWellFormed(drawn.svg);
  assert.ok(drawn.svg.includes('class="band"') && drawn.svg.includes('knots at 40, 55, 65, 80'));
  assert.equal(drawn.svg.split('class="accent-line"').length - 1, 4);
});

test('a factor has a figure and a table of floating subgroup effects, in both approaches', () => {
  const made = input({ 'by-grade': analysed(BY_GRADE, graded), 'one-grade': oneGrade() }, GRADED);
  const names = figures(made).map(({ name }) => name);
  assert.ok(names.includes('by-grade-subgroups.svg') && names.includes('one-grade-subgroups.svg'));
  const html = renderReport(made);
  assertWellFormed(html);
  assert.ok(html.includes('Godolphin et al. 2023') && html.includes('Floating SE'));
  assert.ok(html.includes('Overall, at the mean mix of levels'));
});

test('without the mix of levels, levels are drawn against the reference', () => {
  const outcome = oneGrade();
  const bare = { ...outcome, studies: outcome.studies.map(({ modifier_means: _, ...study }) => study) };
  const [drawn] = figures(input({ 'one-grade': bare }, { ...GRADED, analyses: [ONE_GRADE] }));
  assert.ok(drawn !== undefined);
  assert.ok(drawn.svg.includes('relative to the effect at level a (the reference)'));
  assert.ok(drawn.svg.includes('Ratio of odds ratios'));
});

test('a linear modifier has a straight band over the values that its moments span', () => {
  const outcome = analysed(BY_AGE, bcgStudies(BY_AGE.pool.terms));
  const made = figures(input({ 'by-age': outcome }, { ...PLAN, analyses: [BY_AGE] }));
  const drawn = made.find(({ suffix }) => suffix === 'modifier');
  assert.ok(drawn !== undefined);
  assert.match(drawn.svg, /divided by that at age 2\d/);
  assert.ok(drawn.svg.includes('Range: the studies’ means'));
  const moments = bcgStudies(BY_AGE.pool.terms).map((study) => ({
    ...study,
    modifier_means: [{ term: 'age', mean: 26, sd: 10 }],
  }));
  const [one] = figures(
    input({ 'by-age': analysed(BY_AGE, moments) }, { ...PLAN, analyses: [BY_AGE] }),
  ).filter(({ suffix }) => suffix === 'modifier');
  assert.ok(one?.svg.includes('two standard deviations within studies'));
});
