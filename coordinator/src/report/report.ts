import type {
  AnalysisResult,
  SiteResult,
  TwoStageResult,
  Warning,
} from '@concordat/shared/plan/result-types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { figures, type Figure } from './figures.ts';
import { count, plural } from './format.ts';
import { markup, Markup } from './markup.ts';
import { methodsParagraph } from './methods.ts';
import { estimateWithInterval, intervalText, decimalsOf, whyNotPooled } from './phrases.ts';
import { asSentence, remedyFor } from './reasons.ts';
import { studyTable } from './study-table.ts';
import { STYLE } from './style.ts';
import { cell, head, rowHead, table } from './table.ts';
import { heterogeneityTable, jointTable, pooledTable } from './tables.ts';
import { capitalise, effectName, isInteraction, readMeasure, termLabel, inSentence } from './terms.ts';
import { analysisViews, hasEvents, includedStudies, pooledTerms, total, type ReportInput } from './view.ts';

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

/** Participants, events and studies of the pooled estimate; parts that a site did not release are left unsaid. */
function basis(outcome: AnalysisResult, plan: ExpandedPlan): string {
  const included = includedStudies(outcome);
  const sum = (what: 'participants' | 'events'): number | null =>
    included.reduce<number | null>((so, study) => {
      const own = total(study, what, plan);
      return so === null || own === null ? null : so + own;
    }, 0);
  const participants = sum('participants');
  const events = hasEvents(plan) ? sum('events') : null;
  return [
    plural(included.length, 'study', 'studies'),
    ...(participants === null ? [] : [plural(participants, 'participant')]),
    ...(events === null ? [] : [plural(events, 'event')]),
  ].join(', ');
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

function modifierSection(
  outcome: TwoStageResult,
  planned: Analysis,
  plan: ExpandedPlan,
  drawn: readonly Figure[],
): Markup | null {
  const modifier = planned.effectModifier;
  if (modifier === null) return null;
  const terms = [...outcome.pooled, ...outcome.contrasts].filter(({ term }) => isInteraction(term, planned));
  const sentence = modifier.separate
    ? 'Read the within-trial row: it compares participants of the same trial, so randomisation protects it. The across-trial row compares trials with one another, which differ in more than this covariate (ecological bias). Where the two disagree, do not average them.'
    : 'This is one merged term. It mixes comparisons within trials, which randomisation protects, with comparisons between trials, which it does not (ecological bias).';
  return markup`<h3>Effect modification by ${modifier.variable}</h3><p>${sentence}</p>${pooledTable(
    `Interaction of treatment with ${modifier.variable}${modifier.form === 'linear' ? ', per unit' : ''}`,
    terms,
    outcome,
    planned,
    plan,
  )}${figureList(drawn)}`;
}

function figureList(drawn: readonly Figure[]): Markup[] {
  // The figures are made by this program from escaped parts; they are the one place that skips escaping.
  return drawn.map(
    ({ svg, analysis, term }) =>
      markup`<figure tabindex="0" aria-label="Forest plot of ${analysis}, ${term}">${new Markup(svg)}</figure>`,
  );
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
  const remedy = (reason === undefined ? null : remedyFor(reason)) ?? GENERAL_REMEDY[outcome.status];
  return markup`<div class="trouble"><p><strong>${STATUS[outcome.status]}.</strong> ${asSentence(
    reason?.message ?? 'no reason was recorded',
  )} ${reason === undefined ? null : markup`<code>${reason.code}</code>`}</p><p>What to do: ${remedy}</p></div>`;
}

function analysisSection(
  { planned, outcome }: ReturnType<typeof analysisViews>[number],
  input: ReportInput,
  drawn: readonly Figure[],
  index: number,
): Markup {
  const { plan, result } = input;
  const own = drawn.filter((figure) => figure.analysis === planned.id);
  const interactions = own.filter((figure) => isInteraction(figure.term, planned));
  const done = outcome.status === 'done' && outcome.approach === 'two-stage';
  const body = done
    ? markup`${leadSentence(outcome, planned, plan)}${figureList(own.filter((figure) => !interactions.includes(figure)))}${pooledTable(
        'Pooled estimates',
        outcome.pooled.filter(({ term }) => !isInteraction(term, planned)),
        outcome,
        planned,
        plan,
      )}${pooledTable(
        'Differences between arms',
        outcome.contrasts.filter(({ term }) => !isInteraction(term, planned)),
        outcome,
        planned,
        plan,
      )}${modifierSection(outcome, planned, plan, interactions)}${heterogeneityTable(outcome, planned, plan)}${jointTable(outcome, planned, plan)}`
    : trouble(outcome);
  const measure = readMeasure(outcome.measure);
  const scale = measure.isRatio ? `${measure.name} (estimated as ${outcome.measure})` : measure.name;
  return markup`<section aria-labelledby="analysis-${index}"><h2 id="analysis-${index}">Analysis ${planned.id}</h2><p>${
    planned.approach === 'two-stage' ? 'Two-stage' : 'One-stage'
  }, ${scale}: <span class="status ${outcome.status}">${STATUS[outcome.status].toLowerCase()}</span></p>${body}${
    outcome.studies.length === 0 ? null : studyTable(outcome, planned, plan)
  }${warningList(outcome)}${
    done
      ? markup`<h3>Methods</h3><p>${methodsParagraph(planned, outcome, plan, result.run.software)}</p>`
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
<main id="main">${contents}${sitesSection(input)}${views.map((view, index) => analysisSection(view, input, drawn, index))}
<section aria-labelledby="plan"><h2 id="plan">Plan</h2><details><summary>The plan as it was signed (${count(
    input.planText.split('\n').length,
  )} lines)</summary><pre>${input.planText}</pre></details></section>
</main>
<footer>${result.run.software}. Numbers in full are in result.json.</footer>
</body>
</html>
`.text;
}
