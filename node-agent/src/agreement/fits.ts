/**
 * The one-stage fits under way, from the site's side: which question the optimiser asks next, and that the records are
 * still those that the site entered with. Its memory is the log: after a restart both are made again from it.
 */
import { CoordinatorMessage, type ObjectiveQuestion } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { Problem, SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import type { Scaling } from '@concordat/shared/models/blocks.ts';
import type { StudyEntry } from '@concordat/shared/one-stage/entry.ts';
import { Replay, type Dishonesty, type ToldQuestion } from '@concordat/shared/one-stage/replay.ts';
import { oneStageSpec } from '@concordat/shared/one-stage/spec.ts';
import type { Ask, OneStageSpec } from '@concordat/shared/one-stage/types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { toHex } from '@concordat/shared/wire/digest.ts';
import { studyEntry, toldQuestion } from '@concordat/shared/wire/one-stage.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Task } from '../egress/gate.ts';
import type { Draft } from '../fit/draft.ts';
import { sealOf } from './seal.ts';

export interface HonestQuestion {
  readonly ask: Ask;
  readonly scaling: Scaling;
}

interface Progress {
  readonly replay: Replay;
  /** Task (hex) → what the replay made of its question. */
  readonly results: Map<string, HonestQuestion | Dishonesty>;
}

const DRAFT_CHANGED: Draft = {
  payload: { $case: 'dataProblem', value: { problem: Problem.PROBLEM_RECORDS_CHANGED } },
  evidence: { kind: 'none' },
};

export class Fits {
  readonly #log: MessageLog;
  readonly #identity: SigningIdentity;
  /** By run and analysis. */
  readonly #progress = new Map<string, Progress>();
  /** Seal of the analysis set that the site entered with, by run and analysis. */
  readonly #sets = new Map<string, string>();

  constructor(log: MessageLog, identity: SigningIdentity) {
    this.#log = log;
    this.#identity = identity;
    for (const { kind, run, analysis, detail } of log.entries) {
      if (kind === 'decision' && typeof detail?.['set'] === 'string')
        this.#sets.set(`${run} ${analysis}`, detail['set']);
    }
  }

  /**
   * The question if it is the optimiser's next; otherwise what is wrong with it. None is before the site sent its entry,
   * which the coordinator's is held against. Taking a question is logged, so that after a restart the same ones are taken in the
   * same order, and each once.
   */
  check(
    task: Task,
    plan: ExpandedPlan,
    analysis: Analysis,
    question: ObjectiveQuestion,
  ): HonestQuestion | Dishonesty {
    const key = keyOf(task);
    const digest = toHex(task.digest);
    const progress = this.#progress.get(key) ?? this.#recall(task, plan, analysis);
    if (progress === null) return 'entry-missing';
    this.#progress.set(key, progress);
    const known = progress.results.get(digest);
    if (known !== undefined) return known;
    this.#log.append({
      kind: 'decision',
      run: toHex(task.header.run),
      analysis: analysis.id,
      task: digest,
      detail: { taken: true },
    });
    return take(progress, digest, question, plan, analysis);
  }

  /** The draft, unless the records behind it are not those of the site's first answer. */
  sameSet(task: Task, draft: Draft): Draft {
    if (draft.evidence.kind !== 'analysis-set') return draft;
    const key = keyOf(task);
    const known = this.#sets.get(key);
    const set = sealOf(this.#identity, draft.evidence.set);
    if (known === undefined) {
      this.#sets.set(key, set);
      this.#log.append({
        kind: 'decision',
        run: toHex(task.header.run),
        analysis: task.header.analysis,
        detail: { set },
      });
      return draft;
    }
    return known === set ? draft : DRAFT_CHANGED;
  }

  /** The questions of an analysis that the log has as taken; null where the site did not enter. */
  #recall(current: Task, plan: ExpandedPlan, analysis: Analysis): Progress | null {
    const run = toHex(current.header.run);
    const logged = this.#log.entries.filter((entry) => entry.run === run && entry.analysis === analysis.id);
    const own = logged.find(({ kind, type }) => kind === 'sent' && type === 'oneStageEntry');
    if (own === undefined) return null;
    const replay = new Replay(oneStageSpec(plan, analysis), this.#entry(own));
    const progress: Progress = { replay, results: new Map() };
    for (const { kind, task, detail } of logged) {
      if (kind !== 'decision' || detail?.['taken'] !== true || task === undefined) continue;
      const received = this.#log.entriesOf(task).find((entry) => entry.kind === 'received');
      if (received === undefined || !hasBody(received)) continue;
      const { payload } = decode(CoordinatorMessage, this.#signed(received).body, 'a logged task');
      if (payload?.$case === 'objectiveQuestion') take(progress, task, payload.value, plan, analysis);
    }
    return progress;
  }

  #entry(entry: LogEntry): StudyEntry | null {
    if (!hasBody(entry)) return null;
    const { payload } = decode(SiteMessage, this.#signed(entry).body, 'a logged message');
    return payload?.$case === 'oneStageEntry' ? studyEntry(payload.value) : null;
  }

  #signed(entry: EntryWithBody): SignedMessage {
    return decode(SignedMessage, this.#log.body(entry), 'a logged message');
  }
}

function take(
  { replay, results }: Progress,
  task: string,
  question: ObjectiveQuestion,
  plan: ExpandedPlan,
  analysis: Analysis,
): HonestQuestion | Dishonesty {
  const result = judge(replay, question, oneStageSpec(plan, analysis));
  results.set(task, result);
  return result;
}

function judge(replay: Replay, question: ObjectiveQuestion, spec: OneStageSpec): HonestQuestion | Dishonesty {
  let told: ToldQuestion;
  try {
    told = toldQuestion(question, spec);
  } catch (error) {
    if (error instanceof ConcordatError) return 'another-question';
    throw error;
  }
  const asked = replay.next(told);
  if (typeof asked === 'string') return asked;
  const { studies, scaling } = replay.entry!;
  // A sum over one study is that study's own answer, which its policy may keep.
  return { ask: studies > 1 ? asked : { ...asked, gather: 'each' }, scaling };
}

const keyOf = ({ header }: Task): string => `${toHex(header.run)} ${header.analysis}`;
