/**
 * What an agreement permits, as pure functions. A plan is permitted as a whole or not at all: what a custodian approves,
 * and what runs, is the digest of the whole plan.
 */
import type { Refusal } from '../disclosure/rules.ts';
import type { WrittenPlan } from '../plan/schema.ts';

import { dayBegins } from './days.ts';
import type { Agreement } from './document.ts';
import { usesByVariable, variableUses, type VariableUse } from './uses.ts';

export interface PermitFault {
  /** As in the wire contract's enumeration of rules; of several faults, the first one's is told to the coordinator. */
  readonly rule: Extract<Refusal['code'], 'RULE_ASKER' | 'RULE_VARIABLE' | 'RULE_OUTCOME' | 'RULE_FAMILY'>;
  /** For the custodian, with the remedy; it stays at the site. */
  readonly what: string;
}

/** The part of an agreement that says what a plan may ask. */
export type Permits = Pick<Agreement, 'statisticians' | 'variables' | 'outcomes' | 'families'>;

/**
 * Everything in a plan that the agreement does not allow, who asks first; empty where all is allowed.
 *
 * @param plan as `parsePlan` returned it
 * @param signer public key (hex) under which the plan's signature verified; null where it has none
 */
export function faultsOfPlan(
  plan: WrittenPlan,
  agreement: Permits,
  signer: string | null,
): readonly PermitFault[] {
  return [
    ...faultsOfAsker(agreement, signer),
    ...faultsOfUses(plan, agreement),
    ...faultsOfFamilies(plan, agreement),
  ];
}

function faultsOfAsker({ statisticians }: Permits, signer: string | null): readonly PermitFault[] {
  if (statisticians === null || statisticians.some(({ key }) => key === signer)) return [];
  const names = statisticians.map(({ name }) => name).join(', ');
  return [
    {
      rule: 'RULE_ASKER',
      what:
        signer === null
          ? `the plan is not signed, and only ${names} may ask: the statistician signs it with \`concordat plan sign\``
          : `the plan is signed with the key ${signer}, which is not among \`statisticians\` (${names})`,
    },
  ];
}

const RULE = { outcomes: 'RULE_OUTCOME', variables: 'RULE_VARIABLE' } as const;

function faultsOfUses(plan: WrittenPlan, agreement: Permits): readonly PermitFault[] {
  const uses = variableUses(plan);
  const outside = ({ variable, list }: VariableUse): boolean => {
    const allowed = agreement[list];
    return allowed !== 'all' && !allowed.includes(variable);
  };
  return (['outcomes', 'variables'] as const).flatMap((list) =>
    usesByVariable(uses.filter((use) => use.list === list && outside(use))).map((entry): PermitFault => ({
      rule: RULE[list],
      what: `\`${entry.variable}\` (${entry.uses.join('; ')}) is not among the agreement's \`${list}\``,
    })),
  );
}

function faultsOfFamilies({ analyses }: WrittenPlan, { families }: Permits): readonly PermitFault[] {
  if (families === 'all') return [];
  const outside = analyses.filter(({ model }) => !families.includes(model.family));
  return [...Map.groupBy(outside, ({ model }) => model.family)].map(([family, asking]) => ({
    rule: 'RULE_FAMILY',
    what: `the family \`${family}\` (${asking.map(({ id }) => id).join(', ')}) is not among the agreement's \`families\``,
  }));
}

const DAY = 24 * 60 * 60 * 1000;

/** Whether the agreement's last day (UTC, itself included) is over. A day that cannot be read is over. */
export function isExpired({ until }: Pick<Agreement, 'until'>, now: Date): boolean {
  return !(now.getTime() < dayBegins(until) + DAY);
}

/** Whole days on which the agreement still holds, today among them; 0 where it has expired. */
export function daysLeft({ until }: Pick<Agreement, 'until'>, now: Date): number {
  return Math.max(0, Math.ceil((dayBegins(until) + DAY - now.getTime()) / DAY));
}
