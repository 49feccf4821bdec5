/** Stage two: one REML fit with HKSJ, Q-profile and prediction intervals against metafor. */
import { writeFileSync } from 'node:fs';

import { pool } from '@concordat/shared/pooling/univariate.ts';

import { printTable, ratioRow, runR, timeRuns } from './measure.ts';

interface RSets {
  readonly metafor: string;
  readonly sets: readonly { readonly seconds: number; readonly estimate: number }[];
}

export function benchStageTwo(folder: string): void {
  const sets = [20, 1000].map(makeStudies);
  const file = `${folder}/studies.json`;
  writeFileSync(
    file,
    JSON.stringify(sets.map(({ yi, vi }) => ({ yi: [...yi], sei: [...vi].map(Math.sqrt) }))),
  );
  const r = runR('stage-two.R', [file]) as RSets;
  const rows = sets.map((studies, i) => {
    const time = timeRuns(
      () =>
        void pool('treatment', studies.yi, studies.vi, {
          tau2: 'REML',
          ci: 'HKSJ',
          level: 0.95,
          prediction: true,
        }),
      50,
      200,
    );
    return ratioRow(
      `k = ${studies.yi.length}, with every interval; against rma() alone`,
      time.best,
      r.sets[i]?.seconds ?? Number.NaN,
      10,
    );
  });
  printTable(`Stage two, REML and HKSJ (metafor ${r.metafor})`, rows);
}

function makeStudies(k: number): { readonly yi: Float64Array; readonly vi: Float64Array } {
  const yi = Float64Array.from({ length: k }, (_, i) => Math.sin(i * 12.9898) * 0.4 - 0.2);
  const vi = Float64Array.from({ length: k }, (_, i) => 0.02 + 0.08 * Math.abs(Math.cos(i * 78.233)));
  return { yi, vi };
}
