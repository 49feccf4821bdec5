/** Writes docs/false-alarms.md: `node test/reference/false-alarms.ts`. A test holds it equal to what the rules decide. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { decide, differenced, large, questions, type Decision, type Refused } from './honest.ts';

export const FALSE_ALARMS = join(import.meta.dirname, '../../docs/false-alarms.md');

/** What makes a refused analysis acceptable, by its rule. */
const REMEDIES: Readonly<Record<string, string>> = {
  RULE_PARTICIPANTS: 'the trial is too small',
  RULE_PARTICIPANTS_PER_ARM: 'the arm is too small',
  RULE_PARAMETERS_PER_PARTICIPANT: 'fewer covariates',
  RULE_EVENTS_PER_PARAMETER: 'fewer covariates',
  RULE_SMALLEST_CELL: 'merge levels, or leave the variable out',
  RULE_LEVERAGE: 'the site checks its outlying value',
  RULE_DOMINANCE: 'the site checks its outlying value',
};

interface Differencing {
  readonly question: string;
  readonly perAnalysis: Awaited<ReturnType<typeof differenced>>;
  readonly common: Awaited<ReturnType<typeof differenced>>;
}

export interface FalseAlarms {
  readonly decisions: readonly Decision[];
  readonly differencing: readonly Differencing[];
}

export async function measure(): Promise<FalseAlarms> {
  const decisions: Decision[] = [];
  const differencing: Differencing[] = [];
  for (const question of questions()) {
    decisions.push(...(await decide(question)));
    if (question.plan.analyses.length < 2 || question.maps !== undefined) continue;
    const perAnalysis = await differenced(question, 'per-analysis');
    const common = await differenced(question, 'common');
    if (perAnalysis.length + common.length > 0)
      differencing.push({ question: `${question.dataset}: ${question.name}`, perAnalysis, common });
  }
  return { decisions, differencing };
}

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

const refused = (decisions: readonly Decision[]): Decision[] =>
  decisions.filter(({ refusals }) => refusals.length > 0);

function totals(decisions: readonly Decision[]): (string | number)[][] {
  const datasets = [...new Set(decisions.map(({ dataset }) => dataset))];
  return datasets.map((dataset) => {
    const own = decisions.filter((decision) => decision.dataset === dataset);
    const [big, small] = [own.filter(large), own.filter((decision) => !decision.pooled && !large(decision))];
    return [dataset, big.length, refused(big).length, small.length, refused(small).length];
  });
}

function rowOf({ dataset, study, question, analysis, participants, events, refusals }: Decision): string[] {
  const first = refusals[0]!;
  const of = first.of === undefined ? '' : ` of ${first.of}`;
  const observed = Number.isInteger(first.observed) ? `${first.observed}` : first.observed.toFixed(2);
  return [
    `${dataset} ${study}`,
    `${question}: ${analysis}`,
    `${participants}`,
    `${events ?? '–'}`,
    first.rule,
    `${observed}${of}`,
    REMEDIES[first.code] ?? '',
  ];
}

const HEAD = ['trial', 'analysis', 'n', 'events', 'rule', 'observed', 'remedy'];

/** Rules that refuse small trials, with how often. */
function byRule(decisions: readonly Decision[]): (string | number)[][] {
  const groups = Map.groupBy(refused(decisions), ({ refusals }) => refusals[0]!.rule);
  return [...groups].map(([rule, own]) => [rule, own.length]);
}

export function falseAlarmsDocument({ decisions, differencing }: FalseAlarms): string {
  const own = decisions.filter(({ pooled }) => !pooled);
  const [big, small] = [own.filter(large), own.filter((decision) => !large(decision))];
  const pooled = decisions.filter((decision) => decision.pooled);
  return `# False alarms

What the shipped thresholds refuse of honest two-stage analyses of published data, each asked alone: those whose results are
compared with R's, and an unadjusted and an adjusted analysis of the main outcomes. The data are those published with a row for each participant;
of groups or of study results there is nothing for these rules to decide. \`node test/reference/false-alarms.ts\` writes this page; the reference suite holds it equal to what the rules decide. A large trial has at least 100 participants and, where
the outcome has events, 20 (of the rarer outcome; of an ordinal one, 20 outside the commonest level).

**${refused(big).length} of ${big.length} analyses of large trials are refused, and ${refused(small).length} of ${small.length} of smaller ones.** Every refusal of a large trial
is for a number that its answer would tell exactly: a cell of one to four people, or one participant with half of the
leverage or more. That is the safer default; [ADR 10](adr/0010-what-a-cell-is.md) gives the reasons.

${table(['data', 'large trials', 'refused', 'smaller trials', 'refused'], totals(decisions))}

## Large trials that are refused

${table(HEAD, refused(big).map(rowOf))}

## Smaller trials, by the first rule

${table(['rule', 'analyses'], byRule(small))}

## Pooled records posing as one trial

R pools with the trials as a factor or strata; so do these ${pooled.length} analyses, of which ${refused(pooled).length} are refused. No site has such records.

${table(HEAD, refused(pooled).map(rowOf))}

## Several analyses in one plan

Analyses that use different covariates leave out different people with missing values. Where two sets differ by one to
nine, the later one is refused, and so it is where one participant has half of the leverage in the columns of all; \`participants: common\` in the plan mends nearly all of them.

${table(
  ['plan', 'refused (participants by which sets differ, or leverage)', 'with `participants: common`'],
  differencing.map(({ question, perAnalysis, common }) => [
    question,
    perAnalysis.map(nameOf).join(', '),
    common.length === 0 ? 'none' : common.map(nameOf).join(', '),
  ]),
)}
`;
}

function nameOf({ study, analysis, observed }: Refused): string {
  return `${study} ${analysis} (${Number.isInteger(observed) ? observed : observed.toFixed(2)})`;
}

if (import.meta.main) writeFileSync(FALSE_ALARMS, falseAlarmsDocument(await measure()));
