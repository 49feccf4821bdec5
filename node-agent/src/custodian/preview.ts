/** What a site would send for a plan, computed from its records as they are; nothing is sent, and nothing logged. */
import * as fs from 'node:fs';
import { join } from 'node:path';

import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { Rule } from '@concordat/proto/concordat/v1/site.ts';
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { expandPlan, undeclaredFactors } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { REFUSALS, RULE_REMEDIES } from '@concordat/shared/wire/words.ts';

import { Gate, type GateOptions, type Task } from '../egress/gate.ts';
import { ENTRIES, Ledger } from '../egress/ledger.ts';
import { askBeside } from '../fit/beside.ts';
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
export function previewPlan(
  text: string,
  agreement: Agreement,
  { state, source, workers, ...site }: PreviewOptions,
): Promise<readonly PreviewedRelease[]> {
  return withLedgerCopy(state, (ledger) =>
    preview(text, agreement, {
      gate: new Gate({ ...site, ledger, log: NO_LOG }),
      ledger,
      workers,
      source: { ...source, secret: ledger.secret },
    }),
  );
}

interface PreviewOptions extends Pick<GateOptions, 'study' | 'identity' | 'held'> {
  /** The agent's state folder, of which the ledger is looked at. */
  readonly state: string;
  readonly workers: Pick<WorkerPool, 'ask'>;
  readonly source: StudySource;
}

async function preview(
  text: string,
  { policy, tellCounts }: Agreement,
  {
    gate,
    ledger,
    workers,
    source,
  }: {
    readonly gate: Pick<Gate, 'preview'>;
    readonly ledger: Pick<Ledger, 'answered' | 'has'>;
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
  const analyses = asked.map(({ id }) => id);
  const problems: string[] = [];
  await askBeside(
    workers,
    ledger,
    { source, plan, analyses, policy },
    async (answer) => {
      const { drafts, problems: found } = await answer;
      problems.push(...found);
      return drafts;
    },
    (draft, i) => void released.push(judge(draft, plan, { analysis: asked[i]! })),
  );
  return problems.length === 0
    ? released
    : released.map((answer) => ({ ...answer, remarks: [...answer.remarks, ...problems] }));
}

/**
 * What was answered stands in the way of a preview as of an answer, and its own analyses of each other; but nothing of it is kept. The
 * agent may be writing: entries name only files that were there before them.
 */
async function withLedgerCopy<T>(state: string, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  fs.mkdirSync(state, { recursive: true, mode: 0o700 });
  const copy = fs.mkdtempSync(join(state, 'preview-'));
  try {
    const kept = join(state, 'ledger');
    if (fs.existsSync(join(kept, ENTRIES))) fs.copyFileSync(join(kept, ENTRIES), join(copy, ENTRIES));
    const others = fs.existsSync(kept) ? fs.readdirSync(kept) : [];
    for (const name of others)
      if (name !== ENTRIES && !name.endsWith('.new')) fs.copyFileSync(join(kept, name), join(copy, name));
    return await work(new Ledger(copy));
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

/** A preview is no release: it reads no log, and writes none. */
const NO_LOG: GateOptions['log'] = {
  entries: [],
  body: refused,
  append: refused,
  checkpoint: refused,
};

function refused(): never {
  throw new ConcordatError('wire/not-releasable', 'a preview does not leave');
}
