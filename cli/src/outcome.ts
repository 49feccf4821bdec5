import type { Result } from '@concordat/shared/plan/result-types.ts';

/** 0 where every analysis is done; 3 where one failed or was refused. */
export function exitStatus(result: Result): 0 | 3 {
  return Object.values(result.analyses).every(({ status }) => status === 'done') ? 0 : 3;
}
