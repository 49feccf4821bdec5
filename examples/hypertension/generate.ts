/**
 * Writes the ten invented trials of the hypertension example: `node examples/hypertension/generate.ts DIR`.
 *
 * No participant exists. The truth that the data are drawn from is in `TRIALS` and the constants below, so a reader can
 * compare what a federation estimates with what is so. Values are rounded to what a trial would record, which also
 * makes the bytes the same on machines whose logarithms differ in the last bit.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Of each trial: participants; mean and standard deviation of age; shares of men, diabetes and smokers; mean systolic
 * pressure at baseline, mmHg; cardiovascular events per person-year in a woman of 65 under control without other risk
 * factors; planned years; at age 65 the true log hazard ratio and the true difference in pressure at 12 months, mmHg;
 * admissions per person-year under control; and the probability that the pressure at 12 months, or a covariate, is
 * missing. Randomisation is stratified by the regions, and baseline hazards differ between them.
 */
type Trial = readonly [
  id: string,
  participants: number,
  ageMean: number,
  ageSd: number,
  male: number,
  diabetes: number,
  smoker: number,
  sbp: number,
  hazard: number,
  years: number,
  logHazardRatio: number,
  difference: number,
  admissions: number,
  sbp12Missing: number,
  covariateMissing: number,
  regions: string,
];

/** Change of the log hazard ratio per 10 years of age: the benefit wanes. */
const LOG_HAZARD_RATIO_PER_DECADE = 0.1;
/** Change of the difference in blood pressure per 10 years of age, mmHg: the fall is larger in the old. */
const DIFFERENCE_PER_DECADE = -1.5;
/** Log rate ratio of admissions, the same in every trial. */
const LOG_RATE_RATIO = -0.12;
const WEIBULL_SHAPE = 1.2;
const SEED = 'hypertension 7';

// oxfmt-ignore
const TRIALS: readonly Trial[] = [
  ['ALDER',   3012, 64,  8, 0.55, 0.18, 0.22, 164, 0.017,   5, -0.12,  -9.5, 0.31, 0.06,    0, 'north south'],
  ['BIRCH-2', 2484, 67,  7, 0.48, 0.24, 0.17, 168, 0.021, 4.5, -0.42,   -11, 0.38, 0.06,    0, 'central'],
  ['CURLEW',  2050, 60,  9, 0.62, 0.12, 0.31, 159, 0.014,   5,  0.04,  -7.5, 0.24, 0.06,    0, 'east west'],
  ['DUNLIN',  1676, 71,  6, 0.44,  0.2, 0.12, 171, 0.025,   4, -0.25,   -10, 0.45, 0.06,    0, 'central'],
  ['ELM-BP',  1388, 65,  8, 0.52, 0.28,  0.2, 166, 0.022,   4, -0.38,    -9, 0.35, 0.06,    0, 'north midlands south west'],
  ['FULMAR',   968, 58, 10, 0.66, 0.15, 0.34, 157, 0.019,   6, -0.02,  -6.5, 0.22, 0.06,    0, 'coast inland'],
  ['HAZEL',    744, 66,  8,  0.5, 0.22, 0.19, 165,  0.03,   4,  -0.5,  -8.5, 0.33, 0.34, 0.13, 'central'],
  ['IBIS',     388, 69,  7, 0.47,  0.3, 0.16, 170,  0.04,   4, -0.55,   -12,  0.5, 0.06,    0, 'central'],
  ['JUNIPER',   96, 77,  5,  0.5,  0.3,  0.1, 174, 0.042,   5,  -0.2, -10.5,  0.7, 0.04,    0, 'central'],
  ['WREN',      16, 70,  6,  0.5, 0.25,  0.2, 168,  0.05,   3, -0.25,    -9,  0.5,    0,    0, 'central'],
];

const HEADER =
  'id,treat,age,sex,diabetes,smoker,region,sbp0,sbp12,controlled,cvd_event,cvd_days,followup_years,n_hosp';

/** The example's files, one CSV a trial; `README.md` beside this file describes their columns. */
export function generate(): { file: string; text: string }[] {
  return TRIALS.map((trial) => ({
    file: `${trial[0]}.csv`,
    text: `${[HEADER, ...rows(trial)].join('\n')}\n`,
  }));
}

function rows(trial: Trial): string[] {
  const [id, participants, ageMean, ageSd, men, diabetics, smokers, sbpMean, hazard, years, ...truth] = trial;
  const [logHazardRatio, difference, admissions, sbp12Missing, covariateMissing, regionNames] = truth;
  const regions = regionNames.split(' ');
  const random = xoshiro128(`${SEED}/${id}`);
  const allocate = regions.map(() => permutedBlocks(random));
  const unlessMissing = (value: number): string => (random() < covariateMissing ? '' : String(value));

  return Array.from({ length: participants }, (_, index) => {
    const region = Math.floor(random() * regions.length);
    const treat = allocate[region]!();
    const age = clamp(round(ageMean + ageSd * normal(random), 1), 40, 95);
    const sex = Number(random() < men);
    const diabetes = Number(random() < diabetics);
    const smoker = Number(random() < smokers);
    const sbp0 = clamp(round(sbpMean + 14 * normal(random), 0), 140, 230);
    const decades = (age - 65) / 10;

    const lowering = treat * (difference + DIFFERENCE_PER_DECADE * decades);
    const sbp12 = round(147 + 0.5 * (sbp0 - 165) + 1.5 * decades + lowering + 12 * normal(random), 0);
    const sbp12Seen = random() >= sbp12Missing;

    const risk =
      0.6 * decades + 0.3 * sex + 0.45 * diabetes + 0.5 * smoker + 0.01 * (sbp0 - 165) + 0.15 * region;
    const effect = treat * (logHazardRatio + LOG_HAZARD_RATIO_PER_DECADE * decades);
    const eventYears = (-Math.log(1 - random()) / (hazard * Math.exp(risk + effect))) ** (1 / WEIBULL_SHAPE);
    const eventDays = Math.ceil(365.25 * eventYears);
    // One in five leaves early, at any time; the others are seen to the end, after 18 months of recruitment.
    const leavesEarly = random() < 0.2;
    const followYears = leavesEarly ? years * random() : years - 1.5 * random();
    const followDays = Math.ceil(365.25 * Math.max(followYears, 0.05));
    const exposure = round(followDays / 365.25, 2);
    const hospital = poisson(
      random,
      admissions * exposure * Math.exp(0.3 * decades + treat * LOG_RATE_RATIO),
    );

    return [
      `${id}-${String(index + 1).padStart(4, '0')}`,
      treat,
      unlessMissing(age),
      sex,
      unlessMissing(diabetes),
      unlessMissing(smoker),
      regions[region],
      unlessMissing(sbp0),
      sbp12Seen ? sbp12 : '',
      sbp12Seen ? Number(sbp12 < 140) : '',
      Number(eventDays <= followDays),
      Math.min(eventDays, followDays),
      exposure,
      hospital,
    ].join(',');
  });
}

const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));
const round = (value: number, digits: number): number => Number(value.toFixed(digits));
const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Arms 0 and 1 in blocks of four, two of each, shuffled. */
function permutedBlocks(random: () => number): () => number {
  let block: number[] = [];
  return () => {
    if (block.length === 0) block = [0, 0, 1, 1];
    return block.splice(Math.floor(random() * block.length), 1)[0]!;
  };
}

/** Standard normal by Marsaglia's polar method. */
function normal(random: () => number): number {
  for (;;) {
    const u = 2 * random() - 1;
    const v = 2 * random() - 1;
    const s = u * u + v * v;
    if (s > 0 && s < 1) return u * Math.sqrt((-2 * Math.log(s)) / s);
  }
}

/** Poisson count by Knuth's multiplication; means here stay below 10. */
function poisson(random: () => number, mean: number): number {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random(); product > limit; product *= random()) count += 1;
  return count;
}

/**
 * xoshiro128** (Blackman & Vigna 2021, ACM TOMS 47:36) on [0, 1) with 32 bits, its state filled by splitmix32 from the
 * FNV-1a hash of the name: each trial has a stream of its own, so that changing one leaves the others as they are.
 */
function xoshiro128(name: string): () => number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  const state = new Uint32Array(4).map(() => {
    hash = (hash + 0x9e3779b9) | 0;
    let z = hash;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  });
  return () => {
    const result = Math.imul(rotate(Math.imul(state[1]!, 5), 7), 9) >>> 0;
    const shifted = state[1]! << 9;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = rotate(state[3]!, 11);
    return result / 2 ** 32;
  };
}

if (import.meta.main) {
  const directory = process.argv[2];
  if (directory === undefined) throw new Error('usage: node examples/hypertension/generate.ts DIR');
  mkdirSync(directory, { recursive: true });
  for (const { file, text } of generate()) writeFileSync(join(directory, file), text);
}
