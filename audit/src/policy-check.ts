/**
 * What an answer says, held against the policy that was in force: with the gate's own rules, as far as the numbers that left tell
 * what the rules look at. The rest only the site's records can tell.
 */
import { hash } from 'node:crypto';

import { Rule, type Counts } from '@concordat/proto/concordat/v1/site.ts';
import type { Cell, DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { isPerTrial, needsRiskSets } from '@concordat/shared/disclosure/per-trial.ts';
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { checkBudget, checkEvaluations, checkRelease } from '@concordat/shared/disclosure/rules.ts';
import type { Ask } from '@concordat/shared/one-stage/types.ts';
import { parameterTerms } from '@concordat/shared/one-stage/spec.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { LEVEL_TEXT_LIMIT } from '@concordat/shared/wire/protocol.ts';

import type { LoggedReply } from './logged-message.ts';
import type { Tally } from './tally.ts';

/** Rules whose facts stay at the site: that they were kept, no log shows. */
export const NOT_RECOMPUTED: readonly string[] = [
  'leverage, dominance and rank',
  'cells of covariates, of populations and between times',
  'how many participants carry the information, alone and at the parameters asked about',
  'events of a count beyond the sum of all (how many participants had one)',
  'differencing against earlier answers',
];

/** Under what an answer left. */
export interface Terms {
  readonly policy: Policy;
  /** A refusal may tell the count that fell short. */
  readonly tellCounts: boolean;
  /** Seal of the records. */
  readonly data: string;
}

/** The question that is answered, as far as it is known. */
export interface Asked {
  readonly plan: ExpandedPlan | null;
  readonly analysis: Analysis | null;
  /** Of a question about parameters that is honest: what it asks, and the how manyth it is. */
  readonly ask: Ask | null;
  readonly step: number | null;
}

export class PolicyCheck {
  readonly #tally: Tally;
  /** Counts that a site told when it entered an analysis, by run and analysis: later answers are of the same people. */
  readonly #entered = new Map<string, Counts>();
  /** Questions about parameters that were answered, by seal of the records. */
  readonly #questions = new Map<string, Set<string>>();
  readonly #scope = new WeakMap<Analysis, string>();

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  check(reply: LoggedReply, { plan, analysis, ask, step }: Asked, terms: Terms): void {
    const { payload, entry } = reply;
    const { policy } = terms;
    switch (payload.$case) {
      case 'stageOneEstimate':
      case 'stageOneFailure':
      case 'oneStageEntry':
      case 'objectiveValue': {
        if (plan === null || analysis === null) return;
        const key = `${entry.run} ${entry.analysis}`;
        const counts = payload.$case === 'objectiveValue' ? this.#entered.get(key) : payload.value.counts;
        if (payload.$case === 'oneStageEntry' && counts !== undefined) this.#entered.set(key, counts);
        if (counts !== undefined) this.#checkFacts(reply, factsOf(plan, analysis, counts), policy);
        // A sum over one study is its own answer: `ask` says so where it is known.
        const known = payload.$case !== 'objectiveValue' || ask !== null;
        if (known && !policy.per_trial_estimates && isPerTrial(payload, plan, analysis, ask))
          this.#refused(reply, 'per-trial', 'it tells the trial’s own effect (`per_trial_estimates: false`)');
        if (needsRiskSets(analysis) && !policy.shared_baseline)
          this.#refused(reply, 'shared-baseline', 'it tells sums over risk sets (`shared_baseline: false`)');
        if (payload.$case === 'objectiveValue')
          this.#checkBudget(reply, { plan, analysis, ask, step }, terms);
        return;
      }
      case 'factorLevels':
        return this.#checkLevels(reply, payload.value.variables, plan, policy);
      case 'refusal':
        if (payload.value.observed === undefined || terms.tellCounts) return;
        return this.#refused(
          reply,
          'tell-counts',
          `the refusal (${Rule[payload.value.rule]}) tells the count that fell short, which the agreement does not allow`,
        );
      default:
    }
  }

  #checkFacts(reply: LoggedReply, facts: DisclosureFacts, policy: Policy): void {
    for (const { rule, threshold, observed, of } of checkRelease(facts, policy))
      this.#refused(
        reply,
        rule,
        `${rule}: ${observed} where ${threshold} is the limit${of === undefined ? '' : `, of ${of}`}`,
      );
  }

  #checkLevels(
    reply: LoggedReply,
    variables: readonly {
      readonly variable: string;
      readonly levels: readonly { readonly code?: unknown }[];
    }[],
    plan: ExpandedPlan | null,
    { levels: rule }: Policy,
  ): void {
    if (!rule.release)
      this.#refused(reply, 'levels', 'levels of factors do not leave (`levels.release: false`)');
    for (const { variable, levels } of variables) {
      if (rule.maximum !== null && levels.length > rule.maximum)
        this.#refused(
          reply,
          `levels ${variable}`,
          `${levels.length} levels of \`${variable}\` where ${rule.maximum} is the limit`,
        );
      if (plan !== null && !plan.undeclared.includes(variable))
        this.#refused(
          reply,
          `undeclared ${variable}`,
          `levels of \`${variable}\`, which the plan does not leave to be agreed`,
        );
      const long = levels.some(({ code }) => {
        const value = (code as { readonly value?: unknown } | undefined)?.value;
        return typeof value === 'string' && value.length > LEVEL_TEXT_LIMIT;
      });
      if (long) this.#refused(reply, `text ${variable}`, `a level of \`${variable}\` is free text`);
    }
  }

  #checkBudget(reply: LoggedReply, { plan, analysis, ask, step }: Asked, { policy, data }: Terms): void {
    const { entry, place } = reply;
    const over = (cause: string, { threshold, observed }: { threshold: number; observed: number }): void =>
      this.#tally.find(`${cause} ${entry.run} ${entry.analysis}`, {
        kind: 'budget',
        place,
        message: `an answer to the ${observed}th question about parameters, where the policy allows ${threshold} ${cause}`,
      });
    for (const refusal of step === null ? [] : checkEvaluations(step, policy)) over('an analysis', refusal);
    if (ask === null || plan === null || analysis === null || policy.total_evaluations === null) return;
    const asked = this.#questions.get(data) ?? new Set<string>();
    this.#questions.set(data, asked);
    asked.add(this.#questionOf(plan, analysis, ask));
    for (const refusal of checkBudget(asked.size, policy)) over('of the same records', refusal);
  }

  /** The same of the same question, whatever plan, run or analysis asks it. */
  #questionOf(plan: ExpandedPlan, analysis: Analysis, { theta, ...ask }: Ask): string {
    let scope = this.#scope.get(analysis);
    if (scope === undefined) {
      const { population, treatment, outcome, levels } = plan;
      scope = toHex(
        sha256(JSON.stringify([population, treatment, outcome, levels, { ...analysis, id: '', pool: null }])),
      );
      this.#scope.set(analysis, scope);
    }
    const bytes = Buffer.from(theta.buffer, theta.byteOffset, theta.byteLength).toString('latin1');
    return hash('sha256', `${scope}${JSON.stringify(ask)}${bytes}`, 'binary');
  }

  #refused(reply: LoggedReply, rule: string, message: string): void {
    const { entry, place } = reply;
    this.#tally.find(`${rule} ${entry.run} ${entry.analysis}`, {
      kind: 'policy',
      place,
      message: `the policy in force refuses this answer: ${message}`,
    });
  }
}

/** What counts tell of an analysis set, with nothing that they do not tell held against it. */
function factsOf(plan: ExpandedPlan, analysis: Analysis, counts: Counts): DisclosureFacts {
  const { participants, events } = counts;
  const people = participants.reduce((sum, count) => sum + count, 0);
  const some = events.reduce((sum, count) => sum + count, 0);
  const told = events.length > 0;
  const { kind } = plan.outcome;
  const treated = plan.treatment !== null;
  return {
    participants: people,
    effective: people,
    perArm: treated ? participants : [],
    parameters: parameterTerms(plan, analysis).length,
    events: !told
      ? null
      : kind === 'binary' || kind === 'binary-grouped'
        ? Math.min(some, people - some)
        : some,
    eventFree: null,
    grouped: kind === 'binary-grouped',
    cells: [
      ...(treated ? participants.map((count) => cell('level', plan, count)) : []),
      // Events of a count are no people.
      ...(told && kind !== 'count'
        ? participants.flatMap((count, arm) => [
            cell('level x outcome', plan, events[arm] ?? 0),
            cell('level x outcome', plan, count - (events[arm] ?? 0)),
          ])
        : []),
    ],
    shares: [],
    leverage: 0,
    rank: { deficient: false, nearDeficient: false },
  };
}

function cell(what: string, { treatment }: ExpandedPlan, count: number): Cell {
  return { what, variable: treatment?.variable ?? 'the outcome', count };
}
