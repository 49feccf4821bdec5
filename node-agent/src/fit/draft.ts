/** What the site would answer, and what the gate must look at before it may. A draft cannot be sent. */
import { Problem, type SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import type { Cell, DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { ConcordatError, type ErrorCode } from '@concordat/shared/errors.ts';
import type { Scaling } from '@concordat/shared/models/blocks.ts';
import type { Ask } from '@concordat/shared/one-stage/types.ts';
import type { HarmonisationMap } from '@concordat/shared/plan/map.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';

import type { Members } from '../data/members.ts';
import type { Answered, Crossed } from '../data/crossed.ts';

export type Payload = NonNullable<SiteMessage['payload']>;

export interface AnalysisSetEvidence {
  readonly kind: 'analysis-set';
  readonly facts: DisclosureFacts;
  /** Of one that is asked about again and again, in one stage, SHA-256 (hex) of its response and columns; empty elsewhere. */
  readonly set: string;
  /** Absent or null: no ledger is kept. */
  readonly members?: Members | null;
  /** Its columns, and the names of the answers that the facts hold it against. Absent: no ledger is kept. */
  readonly crossing?: { readonly crossed: Crossed; readonly against: readonly string[] };
}

/** What the rules look at; it never leaves. */
export type Evidence =
  | { readonly kind: 'none' }
  | AnalysisSetEvidence
  /** Of a problem found among the rows that the plan selects: how many participants they are, and how the plan divides all. */
  | {
      readonly kind: 'selected-rows';
      readonly participants: number;
      readonly cells: readonly Cell[];
      /** Absent or null: no ledger is kept. */
      readonly members?: Members | null;
    }
  | {
      readonly kind: 'levels';
      readonly variables: readonly LevelCounts[];
      /** Participants in the plan's population, and how it divides all. */
      readonly participants: number;
      readonly cells: readonly Cell[];
      /** Absent or null: no ledger is kept. */
      readonly members?: Members | null;
    };

export interface LevelCounts {
  readonly variable: string;
  readonly levels: readonly { readonly code: Code; readonly participants: number }[];
}

export interface Draft {
  readonly payload: Payload;
  readonly evidence: Evidence;
}

/** Where the records are, and how their columns become the plan's variables. */
export interface StudySource {
  readonly data: string;
  readonly map: HarmonisationMap | null;
  /** Of the ledger: the key by which rows are told apart there; null: no ledger is kept. */
  readonly secret?: Uint8Array | null;
}

export type StudyQuestion =
  | {
      readonly kind: 'levels';
      readonly source: StudySource;
      readonly plan: ExpandedPlan;
      readonly variables: readonly string[];
    }
  | {
      readonly kind: 'stage-one';
      readonly source: StudySource;
      readonly plan: ExpandedPlan;
      /** Of both approaches: a one-stage analysis is answered by the study's entry into it. */
      readonly analyses: readonly string[];
      /** Under which the answers are released: what it refuses is no part of what others are held against. */
      readonly policy: Policy;
      /** Earlier answers that are linked with these. */
      readonly answered: Answered;
    }
  | {
      readonly kind: 'objective';
      readonly source: StudySource;
      readonly plan: ExpandedPlan;
      readonly analysis: string;
      readonly scaling: Scaling;
      readonly ask: Ask;
    };

export interface StudyAnswer {
  /** One draft a question: one for the levels, or one an analysis in the order asked. */
  readonly drafts: readonly Draft[];
  /** For the custodian's own log: what went wrong, with place and remedy. */
  readonly problems: readonly string[];
}

const PROBLEM: Partial<Record<ErrorCode, Problem>> = {
  'data/unreadable': Problem.PROBLEM_SOURCE_UNREADABLE,
  'data/empty': Problem.PROBLEM_SOURCE_EMPTY,
  'data/encoding': Problem.PROBLEM_ENCODING,
  'data/duplicate-header': Problem.PROBLEM_DUPLICATE_HEADER,
  'data/malformed': Problem.PROBLEM_MALFORMED,
  'data/missing-column': Problem.PROBLEM_MISSING_COLUMN,
  'data/not-numeric': Problem.PROBLEM_NOT_NUMERIC,
  'data/impossible-code': Problem.PROBLEM_IMPOSSIBLE_CODE,
  'data/too-large': Problem.PROBLEM_TOO_LARGE,
  'map/invalid': Problem.PROBLEM_MAP_INVALID,
};

/** A closed code for the coordinator; the words stay at the site. */
export function problemDraft(error: unknown, evidence: Evidence = { kind: 'none' }): Draft {
  const code = error instanceof ConcordatError ? error.code : null;
  const problem =
    code === null
      ? Problem.PROBLEM_INTERNAL
      : (PROBLEM[code] ??
        (code.startsWith('plan/') ? Problem.PROBLEM_PLAN_NOT_UNDERSTOOD : Problem.PROBLEM_INTERNAL));
  return { payload: { $case: 'dataProblem', value: { problem } }, evidence };
}
