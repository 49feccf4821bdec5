/** What a run found, in a few lines for a terminal. */
import type {
  AnalysisResult,
  OneStageResult,
  PooledTerm,
  Result,
} from '@concordat/shared/plan/result-types.ts';

interface Finished {
  readonly result: Result;
  readonly out: string;
  readonly log: string;
  readonly problems?: readonly string[];
}

export function summary({ result, out, log, problems = [] }: Finished): readonly string[] {
  const missing = result.run.sites.filter(({ status }) => status !== 'answered');
  return [
    '',
    ...Object.entries(result.analyses).flatMap(([id, analysis]) => analysisLines(id, analysis)),
    ...missing.map(
      ({ study, status, reason }) =>
        `${study}: ${status}${reason === undefined ? '' : ` (${reason.message})`}`,
    ),
    ...(problems.length === 0 ? [] : ['', 'From the sites’ own logs:', ...problems]),
    '',
    `report   ${out}/report.html`,
    `result   ${out}/result.json`,
    `signed   ${out}/result.intoto.json`,
    `figures  ${out}/figures/`,
    `logs     ${log}`,
  ];
}

function analysisLines(id: string, analysis: AnalysisResult): readonly string[] {
  if (analysis.status !== 'done')
    return [`${id}: ${analysis.status}: ${analysis.reason?.message ?? 'no reason given'}`];
  // A study's own intercept is in the result and the report; there may be hundreds.
  const pooled =
    analysis.approach === 'two-stage'
      ? analysis.pooled
      : analysis.coefficients.filter(({ term }) => !/^\(intercept\)|^stratified\(|^threshold\[/.test(term));
  const fit = analysis.approach === 'one-stage' ? fitLines(analysis) : [];
  const used = analysis.studies.filter(({ status }) => status === 'included').length;
  const others = analysis.studies
    .filter(({ status }) => status !== 'included')
    .map(({ study, status, reason }) => `    ${study} ${status}: ${reason?.message ?? ''}`);
  const ratio = analysis.measure.startsWith('log ');
  return [
    `${id}: ${analysis.measure}, ${used} of ${analysis.studies.length} studies`,
    ...pooled.map((term) => `    ${termLine(term, ratio ? analysis.measure.slice(4) : null)}`),
    ...fit,
    ...others,
  ];
}

function fitLines({ random_effects: effects, convergence, warnings }: OneStageResult): readonly string[] {
  const variances = effects.map(
    ({ term, variance }) => `${term} ${variance === null ? 'not computed' : short(variance)}`,
  );
  return [
    ...(variances.length === 0 ? [] : [`    variance between studies: ${variances.join(', ')}`]),
    ...(convergence === null ? [] : [`    ${convergence.rounds} rounds`]),
    ...warnings.map(({ message }) => `    warning: ${message}`),
  ];
}

function termLine(
  { term, estimate, se, ci, p }: Omit<PooledTerm, 'prediction'>,
  ratio: string | null,
): string {
  if (estimate === null || se === null) return `${term}: not computed`;
  const interval = ci === null ? '' : ` [${short(ci[0])}, ${short(ci[1])}]`;
  const exponentiated =
    ratio === null || ci === null
      ? ''
      : `; ${term.includes(':') ? `ratio of ${ratio}s` : ratio} ${short(Math.exp(estimate))} [${short(Math.exp(ci[0]))}, ${short(Math.exp(ci[1]))}]`;
  return `${term}: ${short(estimate)} (SE ${short(se)})${interval}${p === null ? '' : `, p ${p < 0.001 ? '< 0.001' : `= ${p.toFixed(3)}`}`}${exponentiated}`;
}

function short(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
