/** What a site would send for a plan, computed from its records as they are; nothing is sent, and nothing logged. */
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import { expandPlan, undeclaredFactors } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';
import { REFUSALS, RULE_REMEDIES } from '@concordat/shared/wire/words.ts';

import type { Agreement } from '../agreement/document.ts';
import { NOTHING_ANSWERED } from '../data/crossed.ts';
import type { Gate, Task } from '../egress/gate.ts';
import type { Draft, StudySource } from '../fit/draft.ts';
import type { WorkerPool } from '../fit/pool.ts';
import type { PreviewedRelease } from './desk.ts';
import { termsIn } from './log-desk.ts';

const NO_HEADER: Header = {
  study: '',
  run: new Uint8Array(16),
  analysis: '',
  round: 0,
  planDigest: new Uint8Array(32),
  rosterDigest: new Uint8Array(32),
  attempt: 0,
  inReplyTo: new Uint8Array(0),
  checkpoint: undefined,
};

/**
 * The first answer of each analysis: its estimates, or its entry into a one-stage fit, whose later answers depend on what the other
 * sites say. Levels that would be agreed among the sites are taken to be the site's own.
 */
export async function previewPlan(
  text: string,
  { policy, tellCounts }: Agreement,
  {
    gate,
    workers,
    source,
  }: {
    readonly gate: Pick<Gate, 'preview'>;
    readonly workers: Pick<WorkerPool, 'ask'>;
    readonly source: StudySource;
  },
): Promise<readonly PreviewedRelease[]> {
  const written = parsePlan(text, 'the plan');
  const terms = { policy, tellCounts, hold: false };
  const judge = (
    draft: Draft,
    plan: ExpandedPlan,
    over: Partial<Task>,
  ): Omit<PreviewedRelease, 'problems'> => {
    const { payload, refusals } = gate.preview(draft, {
      header: NO_HEADER,
      digest: new Uint8Array(32),
      plan,
      analysis: null,
      askedVariables: [],
      ask: null,
      terms,
      ...over,
    });
    const remarks = refusals.map(({ rule, code, threshold, observed, of }) =>
      `${rule}${of === undefined ? '' : `, ${of}`}: the threshold is ${threshold}, observed ${observed}. ${RULE_REMEDIES[REFUSALS[Rule[code]][0]] ?? ''}`.trimEnd(),
    );
    const analysis = over.analysis?.id ?? '';
    return { analysis, terms: termsIn(plan, analysis), payload, remarks };
  };

  const released: PreviewedRelease[] = [];
  let levels: Readonly<Record<string, readonly Code[]>> = {};
  const variables = undeclaredFactors(written);
  if (variables.length > 0) {
    const plan = expandPlan(written);
    const { drafts, problems } = await workers.ask({ kind: 'levels', source, plan, variables });
    const draft = drafts[0]!;
    const answered = judge(draft, plan, { askedVariables: variables });
    released.push({ ...answered, remarks: [...answered.remarks, ...problems] });
    if (draft.evidence.kind !== 'levels') return released;
    levels = Object.fromEntries(
      draft.evidence.variables.map(({ variable, levels: found }) => [
        variable,
        found.map(({ code }) => code),
      ]),
    );
  }
  const plan = expandPlan(written, levels);
  const asked = plan.analyses.filter(({ unsupported }) => unsupported === null);
  const { drafts, problems } = await workers.ask({
    kind: 'stage-one',
    source,
    plan,
    analyses: asked.map(({ id }) => id),
    policy,
    answered: NOTHING_ANSWERED,
  });
  asked.forEach((analysis, i) => {
    const draft = drafts[i] ?? {
      payload: { $case: 'refusal', value: refusal(Rule.RULE_AGREEMENT, 0) },
      evidence: { kind: 'none' },
    };
    released.push(judge(draft, plan, { analysis }));
  });
  return problems.length === 0
    ? released
    : released.map((answer) => ({ ...answer, remarks: [...answer.remarks, ...problems] }));
}
