/**
 * Honest analyses of the published data, and what the shipped disclosure policy says of each when it is asked alone: those that
 * R's figures are compared on, and for each data set what a statistician would ask of every trial first, unadjusted and
 * adjusted.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { crossedBy } from '@concordat/node-agent/data/crossed.ts';
import { buildAnalysisSet } from '@concordat/node-agent/data/design.ts';
import { readFolder } from '@concordat/node-agent/data/files.ts';
import { snapshotOf } from '@concordat/node-agent/data/snapshot.ts';
import { Ledger } from '@concordat/node-agent/egress/ledger.ts';
import { loadTable } from '@concordat/node-agent/data/load.ts';
import { evidenceOf } from '@concordat/node-agent/fit/records.ts';
import { splitByStudy } from '@concordat/node-agent/data/split.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { checkRelease, checkTogether, type Refusal } from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenAnalysis, WrittenOutcome, WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { ExpandedPlan } from '@concordat/shared/plan/types.ts';

import { clinics } from './cases-clinics.ts';
import { withIndicators } from './cases-indicators.ts';
import { schools } from './cases-schools.ts';
import { stroke } from './cases-stroke.ts';
import { trials } from './cases-trials.ts';
import { available } from './reference.ts';
import { folderOf, oneFile, readRecords } from './records.ts';
import { treatment, type Scenario } from './scenarios.ts';

export interface Question {
  readonly dataset: string;
  /** What is asked, for people. */
  readonly name: string;
  readonly plan: WrittenPlan;
  /** All records as one trial's, whose former trials are a factor or strata: R's way to pool, not an analysis of a trial. */
  readonly pooled: boolean;
  readonly data: () => string | Promise<string>;
  readonly maps?: () => string;
}

export interface Decision {
  readonly dataset: string;
  readonly study: string;
  readonly question: string;
  readonly analysis: string;
  readonly pooled: boolean;
  readonly participants: number;
  /** Events, of the rarer outcome where binary; null for a continuous outcome. */
  readonly events: number | null;
  readonly refusals: readonly Refusal[];
}

function ofScenario({
  name,
  dataset,
  plan,
  data,
  maps,
  models = [],
  joint = [],
  whole = [],
}: Scenario): Question {
  const different = new Map<string, WrittenAnalysis>();
  for (const { name: id, model, ...rest } of [...models, ...joint, ...whole]) {
    const modifier = 'effect_modifier' in rest ? rest.effect_modifier : undefined;
    const key = JSON.stringify([model, modifier]);
    if (different.has(key)) continue;
    different.set(key, {
      id,
      approach: 'two-stage',
      model,
      ...(modifier === undefined ? {} : { effect_modifier: modifier }),
    });
  }
  return {
    dataset,
    name,
    plan: { plan: 1, id: 'honest', ...plan, analyses: [...different.values()] },
    pooled: whole.length > 0,
    data,
    ...(maps === undefined ? {} : { maps }),
  };
}

const binary = (variable: string): WrittenOutcome => ({ kind: 'binary', variable, event: 1 });
const asked = (id: string, model: WrittenAnalysis['model'], modifier?: string): WrittenAnalysis => ({
  id,
  approach: 'two-stage',
  model,
  ...(modifier === undefined ? {} : { effect_modifier: { variable: modifier } }),
});

function simple(
  dataset: string,
  outcome: WrittenOutcome,
  analyses: readonly WrittenAnalysis[],
  arm = 'treat',
): Question {
  const written: WrittenPlan = {
    plan: 1,
    id: 'honest',
    treatment: treatment(arm),
    outcome,
    analyses: [...analyses],
  };
  const data = () => oneFile(readRecords(dataset));
  const of = 'variable' in outcome && outcome.variable !== undefined ? outcome.variable : outcome.kind;
  return { dataset, name: `simple: ${of}`, plan: written, pooled: false, data };
}

const LOGIT = { family: 'binomial' } as const;
const LINEAR = { family: 'gaussian' } as const;
const COX = { family: 'cox' } as const;

const first: readonly Question[] = [
  simple('colorectal-ordinal', { kind: 'ordinal', variable: 'response_score', levels: [1, 2, 3, 4] }, [
    asked('unadjusted', { family: 'ordinal' }),
  ]),
  simple(
    'ist-aspirin',
    { kind: 'ordinal', variable: 'outcome6m', levels: [1, 2, 3, 4] },
    [
      asked('unadjusted', { family: 'ordinal' }),
      asked('adjusted', { family: 'ordinal', adjust: ['age', 'female', 'alert'] }),
    ],
    'aspirin',
  ),
  simple(
    'ist-aspirin',
    binary('dead_dep6m'),
    [
      asked('unadjusted', LOGIT),
      asked('age-sex', { ...LOGIT, adjust: ['age', 'female'] }),
      asked('adjusted', { ...LOGIT, adjust: ['age', 'female', 'alert', 'sbp'] }),
      asked('by-age', LOGIT, 'age'),
      asked('by-sex', LOGIT, 'female'),
    ],
    'aspirin',
  ),
  simple(
    'ist-aspirin',
    { kind: 'time-to-event', time: 'time_days', event: 'died' },
    [
      asked('unadjusted', COX),
      asked('adjusted', { ...COX, adjust: ['age', 'female'] }),
      asked('stratified', { ...COX, strata: ['heparin'] }),
      asked('weibull', { family: 'weibull' }),
    ],
    'aspirin',
  ),
  simple('opt', { kind: 'continuous', variable: 'pd5' }, [
    asked('unadjusted', LINEAR),
    asked('ancova', { ...LINEAR, adjust: ['pd0', 'age'] }),
    asked('adjusted', { ...LINEAR, adjust: ['pd0', 'age', 'black', 'tobacco'] }),
    asked('by-age', { ...LINEAR, adjust: ['pd0'] }, 'age'),
  ]),
  simple('opt', binary('preterm'), [
    asked('unadjusted', LOGIT),
    asked('adjusted', { ...LOGIT, adjust: ['age', 'bmi'] }),
    asked('by-age', LOGIT, 'age'),
  ]),
  simple('star', { kind: 'continuous', variable: 'math0' }, [
    asked('unadjusted', LINEAR),
    asked('adjusted', { ...LINEAR, adjust: ['age', 'female'] }),
    asked('by-sex', LINEAR, 'female'),
  ]),
  simple('rhdnase', { kind: 'count', variable: 'n_exac', exposure: 'followup_days' }, [
    asked('unadjusted', { family: 'poisson' }),
    asked('adjusted', { family: 'poisson', adjust: ['fev'] }),
  ]),
];

export const questions = (): readonly Question[] =>
  available
    ? [...[...clinics, ...trials, ...stroke, ...schools, ...withIndicators].map(ofScenario), ...first]
    : [];

/** Every trial's answer to every analysis of a question, each asked alone. */
export async function decide({
  dataset,
  name,
  plan: written,
  pooled,
  data,
  maps,
}: Question): Promise<Decision[]> {
  const folder = await readFolder(await data());
  const files = folder.kind === 'one-each' ? folder.files : await splitByStudy(folder.path, folderOf({}));
  const plan = expandPlan(parsePlan(JSON.stringify(written), 'plan'), {});
  const mapFolder = maps?.();
  const decisions: Decision[] = [];
  for (const [study, file] of files) {
    if (plan.studies !== 'all' && !plan.studies.includes(study)) continue;
    const map =
      mapFolder === undefined
        ? null
        : parseMap(readFileSync(join(mapFolder, `${study}.yaml`), 'utf8'), study);
    const table = await loadTable(file, plan, map);
    for (const { id } of plan.analyses) {
      const alone: ExpandedPlan = { ...plan, analyses: plan.analyses.filter((other) => other.id === id) };
      const facts = factsOf(alone, table);
      if (facts === null) continue;
      const { participants, events } = facts;
      decisions.push({
        dataset,
        study,
        question: name,
        analysis: id,
        pooled,
        participants,
        events,
        refusals: checkRelease(facts, DEFAULT_POLICY),
      });
    }
  }
  return decisions;
}

/**
 * The analyses of a question that a site refuses for the others when they come in one plan, in its order: what a policy refuses
 * alone is answered about nobody.
 */
export async function differenced(
  question: Question,
  participants: 'per-analysis' | 'common',
): Promise<readonly Refused[]> {
  const { data, plan: written } = question;
  const folder = await readFolder(await data());
  const files = folder.kind === 'one-each' ? folder.files : await splitByStudy(folder.path, folderOf({}));
  const plan = expandPlan(parsePlan(JSON.stringify({ ...written, participants }), 'plan'), {});
  const refused: Refused[] = [];
  for (const [study, file] of files) {
    if (plan.studies !== 'all' && !plan.studies.includes(study)) continue;
    const ledger = new Ledger(folderOf({}));
    const snapshot = await snapshotOf(file, ledger.secret);
    const table = await loadTable(file, plan, null);
    for (const analysis of plan.analyses) {
      const set = buildAnalysisSet(plan, analysis, table);
      if (checkRelease(set.facts, DEFAULT_POLICY).length > 0) continue;
      const crossed = crossedBy(plan, analysis);
      const source = { data: file, map: null, secret: ledger.secret };
      const answered = ledger.answered(null);
      const records = { table, snapshot };
      const { facts, members } = evidenceOf(source, plan, analysis, records, set, answered);
      const [refusal] = [
        ...checkRelease(facts, DEFAULT_POLICY),
        ...ledger.checkMembers(members!, DEFAULT_POLICY),
        ...checkTogether(facts, DEFAULT_POLICY),
      ];
      if (refusal === undefined) ledger.record(members!, null, crossed);
      else
        refused.push({
          study,
          analysis: analysis.id,
          participants: facts.participants,
          observed: refusal.observed,
        });
    }
  }
  return refused;
}

export interface Refused {
  readonly study: string;
  readonly analysis: string;
  readonly participants: number;
  readonly observed: number;
}

/** Null where a column is missing there, or holds codes that the plan does not have: there is nothing to decide. */
function factsOf(plan: ExpandedPlan, table: Awaited<ReturnType<typeof loadTable>>) {
  try {
    return buildAnalysisSet(plan, plan.analyses[0]!, table).facts;
  } catch (error) {
    if (error instanceof ConcordatError) return null;
    throw error;
  }
}

/** A trial of the size that the shipped thresholds are made for. */
export const large = ({ pooled, participants, events }: Decision): boolean =>
  !pooled && participants >= 100 && (events === null || events >= 20);
