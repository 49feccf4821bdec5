/** From what came of a run to the document that is published. Pure. */
import { DEFAULT_POLICY, OPEN_POLICY } from '../disclosure/policy.ts';
import { planDigest } from '../plan/digest.ts';
import type { Result } from '../plan/result-types.ts';
import { sha256, toHex } from '../wire/digest.ts';
import type { SiteState } from './answers.ts';
import type { RunOutcome } from './program.ts';

/** `run`: what the messages do not say. */
export function assemble(
  { plan, analyses, sites }: RunOutcome,
  planText: string,
  { id, started, finished, software }: Omit<Result['run'], 'policy' | 'sites'>,
): Result {
  return {
    result: 1,
    plan: { id: plan.id, sha256: planDigest(Buffer.from(planText)) },
    run: {
      id,
      started,
      finished,
      software,
      policy: commonPolicy(sites),
      sites: sites.map(({ policy: _policy, ...site }) => site),
    },
    analyses,
  };
}

/** The policy in force where all sites that answered have the same; null where each has its own. */
function commonPolicy(sites: readonly SiteState[]): Result['run']['policy'] {
  const policies = sites.flatMap(({ policy }) => (policy === undefined ? [] : [policy]));
  const first = policies[0];
  if (first === undefined || policies.some(({ sha256: digest }) => digest !== first.sha256)) return null;
  const known = [DEFAULT_POLICY, OPEN_POLICY].find(
    (policy) => toHex(sha256(JSON.stringify(policy))) === first.sha256,
  );
  return { name: known?.name ?? 'custom', sha256: first.sha256, open: first.open };
}
