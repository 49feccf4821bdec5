/** Small trials with an outcome of each kind, and plans that fit them in one stage and in two. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder } from './federation.ts';

/** Records by column. */
export type Records = Readonly<Record<string, readonly number[]>>;

/** A trial of `n` participants, the same whenever it is asked for. */
export function oneStageTrial(study: string, n = 120): Records {
  let state = Number.parseInt(createHash('sha256').update(study).digest('hex').slice(0, 8), 16);
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const own = random() - 0.5;
  const names = ['arm', 'age', 'died', 'y', 'visits', 'grade', 'time', 'event'] as const;
  const columns = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
    (typeof names)[number],
    number[]
  >;
  for (let i = 0; i < n; i++) {
    const arm = i % 2;
    const age = 40 + Math.floor(40 * random());
    const eta = 0.6 * own - (0.5 + 0.5 * own) * arm + 0.03 * (age - 60);
    const survival = -Math.log(random()) * 8 * Math.exp(-eta);
    const row = {
      arm,
      age,
      died: random() < 1 / (1 + Math.exp(-eta)) ? 1 : 0,
      y: Number((120 + 10 * eta + 12 * (random() + random() - 1)).toFixed(2)),
      visits: Math.floor(-Math.log(random()) * 2 * Math.exp(0.5 * eta)),
      grade: Math.min(2, Math.max(0, Math.floor(1.5 + eta + 2 * (random() - 0.5)))),
      time: Math.max(0.1, Number(Math.min(survival, 12).toFixed(1))),
      event: survival < 12 ? 1 : 0,
    };
    for (const name of names) columns[name].push(row[name]);
  }
  return columns;
}

function csvOf(records: Records): string {
  const names = Object.keys(records);
  const rows = records[names[0]!]!.map((_, i) => names.map((name) => records[name]![i]).join(','));
  return `${[names.join(','), ...rows].join('\n')}\n`;
}

/** Files of these studies' trials, in a folder of their own. */
export function writeOneStageTrials(studies: readonly string[]): Readonly<Record<string, string>> {
  const folder = newFolder();
  return Object.fromEntries(
    studies.map((study) => {
      const file = join(folder, `${study}.csv`);
      writeFileSync(file, csvOf(oneStageTrial(study)));
      return [study, file];
    }),
  );
}

const OUTCOMES = {
  binary: '{kind: binary, variable: died}',
  continuous: '{kind: continuous, variable: y}',
  count: '{kind: count, variable: visits}',
  ordinal: '{kind: ordinal, variable: grade, levels: [0, 1, 2]}',
  survival: '{kind: time-to-event, time: time, event: event}',
} as const;

/** A plan over these analyses, each `id: rest`. */
export function planOf(
  outcome: keyof typeof OUTCOMES,
  analyses: Readonly<Record<string, string>>,
  more = '',
): string {
  const list = Object.entries(analyses).map(([id, rest]) => `  - {id: ${id}, ${rest}}`);
  return `plan: 1
id: small
treatment: {variable: arm, control: 0, active: 1}
outcome: ${OUTCOMES[outcome]}
minimum_studies: 2
${more}analyses:
${list.join('\n')}
`;
}

export const BINARY_PLAN = planOf('binary', {
  effect: 'approach: two-stage, model: {family: binomial, adjust: [age]}',
  mixed:
    'approach: one-stage, model: {family: binomial, adjust: [age], intercept: random, treatment_effect: random}',
  stratified: 'approach: one-stage, model: {family: binomial, adjust: [age], intercept: stratified}',
});
export const CONTINUOUS_PLAN = planOf('continuous', {
  effect: 'approach: two-stage, model: {family: gaussian, adjust: [age]}',
  mixed:
    'approach: one-stage, model: {family: gaussian, adjust: [age], intercept: random, treatment_effect: random, estimation: REML}',
});
export const SURVIVAL_PLAN = planOf('survival', {
  effect: 'approach: two-stage, model: {family: cox, adjust: [age]}',
  common: 'approach: one-stage, model: {family: cox, adjust: [age], baseline: stratified}',
  random: 'approach: one-stage, model: {family: cox, adjust: [age], treatment_effect: random}',
});
