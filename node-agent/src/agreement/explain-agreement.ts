/** Says in plain language what an agreement allows, and what it does not. */
import type { Agreement, Party } from '@concordat/shared/agreement/document.ts';
import { daysLeft, isExpired } from '@concordat/shared/agreement/permits.ts';
import { FAMILIES } from '@concordat/shared/plan/schema.ts';

import { explainThresholds, type ThresholdExplanation } from './thresholds.ts';
import { count, listed } from './words.ts';

/** For a terminal or a page: one line each, those of a section indented under its title. */
export function explainAgreement(agreement: Agreement, now: Date): string[] {
  const thresholds = explainThresholds(agreement.policy);
  const looser = thresholds.filter(({ against }) => against === 'looser');
  return [
    agreement.name,
    `  ${untilWhen(agreement, now)}`,
    ...section('Who', [
      whoAsks(agreement),
      agreement.custodians.length === 0
        ? 'nobody is named who may approve or refuse here'
        : `approve and refuse here: ${people(agreement.custodians)}`,
      howApproved(agreement),
    ]),
    ...section('What a plan may use; a plan that uses anything else is refused as a whole', [
      allowed('outcomes', agreement.outcomes, 'no outcome, so that every plan is refused'),
      allowed(
        'variables beside the outcome',
        agreement.variables,
        'none, not even a treatment or for choosing the population',
      ),
      allowed('model families', agreement.families, 'none, so that every plan is refused', FAMILIES),
    ]),
    ...section('What leaves', [
      'estimates, their covariance matrices, sums over participants, and counts of participants; never a record, and never what the rules below stop',
      agreement.tellCounts
        ? 'a refusal tells the coordinator which rule, its threshold, and the count that fell short'
        : 'a refusal tells the coordinator which rule and its threshold; the count that fell short stays here',
    ]),
    ...section('What the rules hold back', thresholds.map(thresholdLine)),
    ...section(
      'LOOSER than the shipped rules: make sure that the data-sharing agreement says so',
      looser.map(({ key, value, standard }) => `${key}: ${shown(value)} instead of ${shown(standard)}`),
    ),
  ];
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
}

function untilWhen(agreement: Agreement, now: Date): string {
  if (isExpired(agreement, now)) return `EXPIRED on ${agreement.until} (UTC): nothing leaves`;
  const days = daysLeft(agreement, now);
  return `holds through ${agreement.until} (UTC): ${count(days, 'day')} left, today included; then nothing leaves, not even of a run that has begun`;
}

const people = (parties: readonly Party[]): string =>
  listed(parties.map(({ name, key }) => `${name} (key ${key.slice(0, 8)}…)`));

function whoAsks({ statisticians }: Agreement): string {
  return statisticians === null
    ? 'ask: whoever the coordinator speaks for that this agent is pinned to; a plan needs no statistician’s signature'
    : `ask: ${people(statisticians)}; a plan that none of them has signed is refused`;
}

function howApproved({ approval, templates, custodians }: Agreement): string {
  switch (approval) {
    case 'each-plan':
      return 'each plan waits until one of them approves it; what it then asks is answered without asking again, also when the same plan is run again by the same sites or more';
    case 'each-release':
      return 'each plan waits until one of them approves it, and then each answer waits until one of them has seen and released it';
    case 'matching-template':
      return `a plan that asks no more than ${count(templates.length, 'template')} (${listed(templates, 'or')}) is answered without asking; ${
        custodians.length === 0 ? 'any other is refused' : 'any other waits until one of them approves it'
      }`;
    case 'automatic':
      return 'every plan within this agreement is answered without asking (`concordat local` alone)';
  }
}

function allowed(
  what: string,
  list: readonly string[] | 'all',
  none: string,
  known: readonly string[] = [],
): string {
  if (list === 'all') return `${what}: ALL, whatever the data hold or this version computes`;
  if (list.length === 0) return `${what}: ${none}`;
  const others = known.filter((name) => !list.includes(name));
  return `${what}: ${listed(list)}${others.length === 0 ? '' : `; not ${listed(others, 'or')}`}`;
}

function thresholdLine({ sentence, against, key, standard }: ThresholdExplanation): string {
  switch (against) {
    case 'default':
      return sentence;
    case 'tighter':
      return `${sentence} (tighter: ${key} is ${shown(standard)} as shipped)`;
    case 'looser':
      return `LOOSER: ${sentence} (${key} is ${shown(standard)} as shipped)`;
  }
}

const shown = (value: number | boolean | null): string => (value === null ? 'off' : String(value));
