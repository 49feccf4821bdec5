/** What a site answered to one task, and what to say of an answer that is not the one asked for. */
import type {
  DataProblem,
  Diagnosis,
  Refusal,
  SiteMessage,
  StageOneFailure,
} from '@concordat/proto/concordat/v1/site.ts';
import type { ErrorCode } from '../errors.ts';
import type { Reason, SiteResult } from '../plan/result-types.ts';
import { DIAGNOSES, OBJECTIONS, PROBLEMS, REFUSALS } from '../wire/words.ts';

export type SiteAnswer =
  | {
      readonly kind: 'reply';
      readonly payload: NonNullable<SiteMessage['payload']>;
      /** Bytes of the task and of the reply, as they were signed. */
      readonly bytes?: { readonly down: number; readonly up: number };
    }
  /** No answer within the time limit. */
  | { readonly kind: 'unreachable' }
  /** A signed answer that this version cannot use. */
  | { readonly kind: 'invalid'; readonly code: ErrorCode }
  /** The site had left the run before the question. */
  | {
      readonly kind: 'absent';
      readonly status: 'excluded' | 'refused' | 'unreachable';
      readonly reason: Reason;
    };

export interface SiteState extends SiteResult {
  /** The disclosure policy that the site said it enforces. */
  readonly policy?: { readonly sha256: string; readonly open: boolean };
}

/** Why an answer is missing; for an answer that is not the expected one. */
export function missing(answer: SiteAnswer): {
  readonly status: 'excluded' | 'refused' | 'unreachable';
  readonly reason: Reason;
} {
  switch (answer.kind) {
    case 'unreachable':
      return {
        status: 'unreachable',
        reason: { code: 'unreachable', message: "no answer within the plan's time limit" },
      };
    case 'invalid':
      return {
        status: 'excluded',
        reason: { code: answer.code, message: 'the answer did not have the form that the plan gives it' },
      };
    case 'absent':
      return { status: answer.status, reason: answer.reason };
    case 'reply':
      return missingReply(answer.payload);
  }
}

function missingReply(payload: NonNullable<SiteMessage['payload']>): ReturnType<typeof missing> {
  switch (payload.$case) {
    case 'refusal':
      return { status: 'refused', reason: refusalReason(payload.value) };
    case 'dataProblem':
      return { status: 'excluded', reason: problemReason(payload.value) };
    case 'stageOneFailure':
      return { status: 'excluded', reason: failureReason(payload.value, []) };
    default:
      return {
        status: 'excluded',
        reason: { code: 'wire/malformed', message: 'the site answered another question than the one asked' },
      };
  }
}

export function refusalReason({ rule, threshold, observed, objection }: Refusal): Reason {
  const [code, message] = REFUSALS[rule];
  const why = OBJECTIONS[objection];
  const told = observed === undefined ? '' : ` (there: ${observed})`;
  return { code, message: `${message.replace('{}', `${threshold}`)}${told}${why === '' ? '' : `: ${why}`}` };
}

function problemReason({ problem }: DataProblem): Reason {
  const [code, message] = PROBLEMS[problem];
  return { code, message: `${message}; the site's own log says where` };
}

/** `terms`: the analysis's term names, in order. */
export function failureReason({ diagnosis, terms }: StageOneFailure, names: readonly string[]): Reason {
  const [code, message] = DIAGNOSES[diagnosis];
  const named = terms.map((t) => names[t]).filter((name) => name !== undefined);
  return { code, message: named.length === 0 ? message : `${message} (${named.join(', ')})` };
}

export function diagnosisReason(diagnosis: Diagnosis): Reason {
  const [code, message] = DIAGNOSES[diagnosis];
  return { code, message };
}
