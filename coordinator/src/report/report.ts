import type {
  AnalysisResult,
  PooledTerm,
  SiteResult,
  TwoStageResult,
  Warning,
} from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { figureList } from './figure-list.ts';
import { figures, type Figure } from './figures.ts';
import { comparisonSection } from './comparison-section.ts';
import { count, plural } from './format.ts';
import { markup, Markup } from './markup.ts';
import { methodsParagraph } from './methods.ts';
import { modifierSection } from './modifier-section.ts';
import { oneStageMethods } from './one-stage-methods.ts';
import { oneStageBody } from './one-stage-section.ts';
import { estimateWithInterval, intervalText, decimalsOf, whyNotPooled } from './phrases.ts';
import { analysisRemedy, asSentence, remedyFor } from './reasons.ts';
import { studyTable } from './study-table.ts';
import { STYLE } from './style.ts';
import { cell, head, rowHead, table } from './table.ts';
import { heterogeneityTable, jointTable, estimateTable } from './tables.ts';
import { capitalise, effectName, isInteraction, readMeasure, termLabel, inSentence } from './terms.ts';
import { analysisViews, basis, pooledTerms, type ReportInput } from './view.ts';

const STATUS: Readonly<Record<AnalysisResult['status'], string>> = {
  done: 'Done',
  failed: 'Failed',
  refused: 'Refused',
};

const SITE_STATUS: Readonly<Record<SiteResult['status'], string>> = {
  answered: 'Answered',
  excluded: 'Excluded',
  refused: 'Refused',
  unreachable: 'Unreachable',
};

/** `2026-03-01 09:30:12 UTC`. */
function time(rfc3339: string): string {
  return rfc3339.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC');
}

function header({ plan, result }: ReportInput): Markup {
  const { run } = result;
  const policy =
    run.policy === null ? 'each site’s own' : markup`${run.policy.name} (<code>${run.policy.sha256}</code>)`;
  const facts: [string, Markup | string][] = [
    ...(plan.registration === null ? [] : ([['Registration', plan.registration]] as [string, string][])),
    ['Plan', markup`${result.plan.id} (SHA-256 <code>${result.plan.sha256}</code>)`],
    ['Run', markup`<code>${run.id}</code>`],
    ['Started', time(run.started)],
    ['Finished', time(run.finished)],
    ['Disclosure policy', policy],
    ['Software', run.software],
  ];
  return markup`<header><h1>${plan.title}</h1><p>Federated meta-analysis of individual participant data</p><dl>${facts.map(
    ([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`,
  )}</dl></header>`;
}

function sitesSection(input: ReportInput): Markup {
  const { sites } = input.result.run;
  const views = analysisViews(input);
  const answered = sites.filter((site) => site.status === 'answered').length;
  const missing = sites.length - answered;
  const rows = sites.map((site) => {
    const inAnalyses = views.filter(({ outcome }) =>
      outcome.studies.some((study) => study.study === site.study && study.status === 'included'),
    ).length;
    const why =
      site.reason === undefined
        ? null
        : markup`${asSentence(site.reason.message)} ${remedyFor(site.reason)} <code>${site.reason.code}</code>`;
    return markup`<tr>${rowHead(site.study)}<td><span class="status ${site.status}">${
      SITE_STATUS[site.status]
    }</span></td>${cell(`${inAnalyses} of ${views.length}`)}<td class="text">${why}</td></tr>`;
  });
  const heads = [
    head('Site', 'text'),
    head('Answer', 'text'),
    head('Included in analyses'),
    head('Why it did not contribute', 'text'),
  ];
  return markup`<section aria-labelledby="sites"><h2 id="sites">Sites</h2><p>${plural(
    sites.length,
    'site was',
    'sites were',
  )} invited; ${
    missing === 0 ? 'all answered.' : `${answered} answered and ${missing} did not contribute.`
  }</p>${table('Who took part', heads, rows)}</section>`;
}

function leadSentence(outcome: TwoStageResult, planned: Analysis, plan: ExpandedPlan): Markup {
  const measure = readMeasure(outcome.measure);
  const [first] = pooledTerms(outcome, planned);
  if (first === undefined || first.estimate === null) {
    return markup`<p class="lead">${asSentence(whyNotPooled(outcome))}</p>`;
  }
  const value = estimateWithInterval(first, measure.isRatio, planned.pool.level);
  const prediction =
    first.prediction === null
      ? ''
      : `; in a new study, ${intervalText(first.prediction, decimalsOf(first, measure.isRatio), measure.isRatio)} (prediction interval)`;
  return markup`<p class="lead">${effectName(first.term, planned, measure)}, ${inSentence(termLabel(first.term, planned, plan))}: <strong>${value}</strong>${prediction}. ${capitalise(basis(outcome, plan))}.</p>`;
}

function warningList(outcome: AnalysisResult): Markup | null {
  const all: Warning[] = [
    ...outcome.warnings,
    ...outcome.studies.flatMap((study) =>
      (study.warnings ?? []).map((warning) => ({ ...warning, study: study.study })),
    ),
  ];
  if (all.length === 0) return null;
  return markup`<h3>Warnings</h3><ul class="warnings">${all.map((warning) => {
    const where = [warning.study, warning.term].filter((part) => part !== undefined).join(', ');
    return markup`<li>${where === '' ? null : markup`<strong>${where}</strong>: `}${warning.message} <code>${warning.code}</code></li>`;
  })}</ul>`;
}

const GENERAL_REMEDY: Readonly<Record<'failed' | 'refused', string>> = {
  failed:
    'Correct the plan or the data that the reason names, and run the plan again; the other analyses stand.',
  refused:
    'Too many sites refused or did not answer. The studies below say why, one by one; a site’s thresholds change only in its own agreement.',
};

function trouble(outcome: AnalysisResult): Markup | null {
  if (outcome.status === 'done') return null;
  const { reason } = outcome;
  const remedy =
    (reason === undefined ? null : analysisRemedy(outcome.approach, reason)) ??
    GENERAL_REMEDY[outcome.status];
  return markup`<div class="trouble"><p><strong>${STATUS[outcome.status]}.</strong> ${asSentence(
    reason?.message ?? 'no reason was recorded',
  )} ${reason === undefined ? null : markup`<code>${reason.code}</code>`}</p><p>What to do: ${remedy}</p></div>`;
}

function twoStageBody(
  outcome: TwoStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
  drawn: readonly Figure[],
): Markup {
  const ofModifier = drawn.filter(
    ({ term, suffix }) => isInteraction(term, planned) || suffix === 'modifier' || suffix === 'subgroups',
  );
  const ofInteraction = ({ term }: PooledTerm): boolean => isInteraction(term, planned);
  const others = (terms: readonly PooledTerm[]): PooledTerm[] => terms.filter((term) => !ofInteraction(term));
  return markup`${leadSentence(outcome, planned, plan)}${figureList(drawn.filter((figure) => !ofModifier.includes(figure)))}${estimateTable(
    'Pooled estimates',
    others(outcome.pooled),
    outcome,
    planned,
    plan,
  )}${estimateTable('Differences between arms', others(outcome.contrasts), outcome, planned, plan)}${modifierSection(
    [...outcome.pooled, ...outcome.contrasts].filter(ofInteraction),
    { planned, outcome },
    plan,
    ofModifier,
  )}${heterogeneityTable(outcome, planned, plan)}${jointTable(outcome, planned, plan)}`;
}

function analysisSection(
  { planned, outcome }: ReturnType<typeof analysisViews>[number],
  input: ReportInput,
  drawn: readonly Figure[],
  index: number,
): Markup {
  const { plan, result } = input;
  const own = drawn.filter((figure) => figure.analysis === planned.id);
  const done = outcome.status === 'done';
  const body = !done
    ? trouble(outcome)
    : outcome.approach === 'one-stage'
      ? oneStageBody(outcome, planned, plan, own)
      : twoStageBody(outcome, planned, plan, own);
  const measure = readMeasure(outcome.measure);
  const scale = measure.isRatio ? `${measure.name} (estimated as ${outcome.measure})` : measure.name;
  return markup`<section aria-labelledby="analysis-${index}"><h2 id="analysis-${index}">Analysis ${planned.id}</h2><p>${
    planned.approach === 'two-stage' ? 'Two-stage' : 'One-stage'
  }, ${scale}: <span class="status ${outcome.status}">${STATUS[outcome.status].toLowerCase()}</span></p>${body}${
    outcome.studies.length === 0 ? null : studyTable(outcome, planned, plan)
  }${warningList(outcome)}${
    done
      ? markup`<h3>Methods</h3><p>${
          outcome.approach === 'one-stage'
            ? oneStageMethods(planned, outcome, plan, result.run.software)
            : methodsParagraph(planned, outcome, plan, result.run.software)
        }</p>`
      : null
  }</section>`;
}

/**
 * The report of a run as one HTML document that asks nothing of the network: style and figures are inside.
 * Titles, ids, reasons and messages come from plans and sites and are escaped wherever they stand.
 */
export function renderReport(input: ReportInput): string {
  const { plan, result } = input;
  const views = analysisViews(input);
  const drawn = figures(input);
  const banner =
    result.run.policy?.open === true
      ? markup`<p class="banner" role="note">Open policy: every disclosure threshold was off in this run. For method comparisons on public data only.</p>`
      : null;
  const comparison = comparisonSection(views, plan);
  const contents =
    views.length < 2
      ? null
      : markup`<nav aria-label="Analyses"><ol>${views.map(
          ({ planned, outcome }, index) =>
            markup`<li><a href="#analysis-${index}">${planned.id}</a>: ${STATUS[outcome.status].toLowerCase()}</li>`,
        )}</ol></nav>`;
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${plan.title}: report</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
${banner}<a class="skip" href="#main">Skip to the results</a>
${header(input)}
<main id="main">${contents}${sitesSection(input)}${views.map((view, index) => analysisSection(view, input, drawn, index))}${comparison}
<section aria-labelledby="plan"><h2 id="plan">Plan</h2><details><summary>The plan as it was signed (${count(
    input.planText.split('\n').length,
  )} lines)</summary><pre>${input.planText}</pre></details></section>
</main>
<footer>${result.run.software}. Numbers in full are in result.json.</footer>
</body>
</html>
`.text;
}
