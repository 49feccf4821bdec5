/**
 * What a custodian sees and decides, whichever way they come: on the command line or on the local page. Everything is read
 * from the agent's own log and state; a decision is a statement signed with the custodian's key.
 */
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import type { CustodianKey, ObjectionName } from '@concordat/shared/agreement/statements.ts';

import type { Payload } from '../fit/draft.ts';
import type { PlanExplanation } from '../agreement/explain.ts';

export type { CustodianKey };

/** A plan that was offered under a run, and how it stands here. */
export interface OfferedPlan {
  /** Hex. */
  readonly run: string;
  /** SHA-256 of the plan file, hex: what is decided upon. */
  readonly digest: string;
  /** SHA-256 of the offer, hex: who asks, under which run, with which sites. */
  readonly offer: string;
  /** The agreement under which it is explained, with its SHA-256 (hex). */
  readonly agreement: { readonly name: string; readonly digest: string };
  /** RFC 3339, from the log. */
  readonly received: string;
  /** The last word about it here; null while there is none. */
  readonly decision: 'approved' | 'refused' | null;
  /** Of a decision: the custodian's name, or `template`, `automatic`, `agreement`. */
  readonly decidedBy: string | null;
  /** Whether its run goes on with this site, or may. */
  readonly open: boolean;
  readonly explanation: PlanExplanation;
  /** The plan file as it was offered. */
  readonly text: string;
}

/** How a plan stands under one of its runs. */
export type Standing = Pick<OfferedPlan, 'decision' | 'decidedBy' | 'open'>;

export const isWaiting = ({ decision, open }: Standing): boolean => decision === null && open;

/** What the agreement itself refused is no custodian's to approve. */
export const isApprovable = (plan: Standing): boolean =>
  isWaiting(plan) || (plan.decision === 'refused' && plan.decidedBy !== 'agreement');

/** A custodian's approval holds for later runs of the plan, so that it can be taken back when its run is over. */
export const isRefusable = (plan: Standing): boolean =>
  isWaiting(plan) ||
  (plan.decision === 'approved' &&
    (plan.open || (plan.decidedBy !== 'template' && plan.decidedBy !== 'automatic')));

/** An answer that is computed and waits for the custodian (`approval: each-release`). */
export interface WaitingRelease {
  /** SHA-256 of the task, hex: what is decided upon. */
  readonly task: string;
  readonly run: string;
  readonly planDigest: string;
  readonly analysis: string;
  readonly round: number;
  /** What the coordinator asked, in words. */
  readonly asked: string;
  /** Names of the analysis's parameters, in the payload's order. */
  readonly terms: readonly string[];
  /** Exactly what would leave. */
  readonly payload: Payload;
  /** Its SHA-256, hex. */
  readonly held: string;
}

/** Something that left, from the log. */
export interface LeftMessage {
  readonly n: number;
  readonly time: string;
  readonly run: string;
  readonly analysis: string;
  readonly round: number;
  readonly type: string;
  readonly task: string;
  readonly header: Header;
  readonly terms: readonly string[];
  readonly payload: Payload;
}

/** What a custodian was shown of a plan; an approval is signed of nothing else. All hex. */
export interface Shown {
  /** SHA-256 of the offer. */
  readonly offer: string;
  /** SHA-256 of the agreement. */
  readonly agreement: string;
  /** Seal of the records. */
  readonly data: string;
}

/** A statement of a custodian, before it is signed. */
export type Decision =
  | {
      readonly kind: 'approve';
      readonly plan: string;
      readonly run: string;
      readonly shown: Shown;
      readonly note: string;
    }
  | {
      readonly kind: 'refuse';
      readonly plan: string;
      readonly run: string;
      readonly objection: ObjectionName;
      readonly note: string;
    }
  | {
      readonly kind: 'release' | 'withhold';
      readonly task: string;
      /** SHA-256 of the answer that the custodian was shown, hex. */
      readonly payload: string;
      readonly note: string;
    };

export interface CustodianDesk {
  plans(): readonly OfferedPlan[];
  /** The plan of that digest that a run was last offered; null where it was not. */
  plan(run: string, digest: string): OfferedPlan | null;
  releases(): readonly WaitingRelease[];
  /** Newest first. */
  left(from: number, count: number): { readonly messages: readonly LeftMessage[]; readonly total: number };
  /** What stage one would send for this plan, computed now from the records; nothing is sent or logged as sent. */
  preview(digest: string): Promise<readonly PreviewedRelease[]>;
  /**
   * The custodian's approval under which the plan may run with these sites, these records and this agreement without being asked
   * about, also where the agent has not taken it yet; null where there is none.
   */
  standingApproval(plan: Pick<OfferedPlan, 'run' | 'digest'>): Promise<StandingApproval | null>;
  /** Seal of the records as they are now; empty where they cannot be read. */
  records(): Promise<string>;
  /**
   * Signs with the custodian's key and hands the statement to the agent; its SHA-256 (hex). Throws `approval/*`: `approval/changed`
   * where what would be signed is not what the custodian was shown.
   */
  decide(decision: Decision, custodian: CustodianKey): Promise<string>;
}

export interface StandingApproval {
  readonly custodian: string;
  /** RFC 3339. */
  readonly time: string;
}

export interface PreviewedRelease {
  readonly analysis: string;
  readonly terms: readonly string[];
  /** What would leave: an estimate, an entry, or a refusal with its rule. */
  readonly payload: Payload;
  /** For the custodian alone: what went wrong, or what the rules saw. */
  readonly remarks: readonly string[];
}
