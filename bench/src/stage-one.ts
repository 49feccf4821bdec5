/** Stage one on one core, data in memory: the whole fit (sorting, scaling, diagnoses) against lm, glm and coxph. */
import { closeSync, openSync, writeSync } from 'node:fs';

import { fitStageOne } from '@concordat/shared/models/stage-one.ts';
import type { ModelOptions, Response, StudyData } from '@concordat/shared/models/types.ts';

import { makeData, TERMS, type BenchData } from './data.ts';
import { printTable, ratioRow, runR, seconds, timeRuns } from './measure.ts';

interface RFits {
  readonly R: string;
  readonly fits: Readonly<
    Record<'lm' | 'glm' | 'coxph', { readonly seconds: number; readonly estimate: number }>
  >;
}

export function benchStageOne(n: number, folder: string): void {
  const data = makeData(n);
  const file = `${folder}/columns.bin`;
  writeColumns(file, data);
  const r = runR('stage-one.R', [file, String(n)]) as RFits;
  const rows = [
    measure('linear', data, { kind: 'continuous', y: data.continuous }, 'gaussian', true, r.fits.lm, 20),
    measure(
      'logistic',
      data,
      { kind: 'binary', events: data.binary, trials: null },
      'binomial',
      true,
      r.fits.glm,
      20,
    ),
    measure(
      'Cox, Efron',
      data,
      { kind: 'time-to-event', time: data.time, event: data.event, entry: null, stratum: null },
      'cox',
      false,
      r.fits.coxph,
      5,
    ),
  ];
  printTable(
    `Stage one, ${n.toLocaleString('en')} rows × 8 parameters, one core, data in memory (${r.R})`,
    rows,
  );
}

function measure(
  what: string,
  data: BenchData,
  response: Response,
  family: ModelOptions['family'],
  intercept: boolean,
  r: { readonly seconds: number; readonly estimate: number },
  goal: number,
): ReturnType<typeof ratioRow> {
  const from = intercept ? 0 : 1;
  const study: StudyData = {
    n: data.n,
    columns: data.columns.slice(from),
    terms: TERMS.slice(from),
    response,
    offset: null,
  };
  let estimate = Number.NaN;
  const time = timeRuns(
    () => {
      const fit = fitStageOne(study, { family, ties: 'efron' }, [1 - from]);
      if (fit.status === 'fitted') estimate = fit.estimates[1 - from] ?? Number.NaN;
    },
    2,
    5,
  );
  const difference = Math.abs(estimate / r.estimate - 1);
  return ratioRow(
    `${what} (first run ${seconds(time.first)}; estimate differs by ${difference.toExponential(0)})`,
    time.best,
    r.seconds,
    goal,
  );
}

function writeColumns(file: string, data: BenchData): void {
  const out = openSync(file, 'w');
  for (const column of [...data.columns, data.continuous, data.binary, data.time, data.event]) {
    writeSync(out, new Uint8Array(column.buffer, column.byteOffset, column.byteLength));
  }
  closeSync(out);
}
