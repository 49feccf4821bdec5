/**
 * The gate: the only way out. Every outbound message passes `release`: disclosure rules → allow-listed
 * fields and lengths → sign → log and flush → a `Released`, the only thing that the sender takes.
 *
 * Default deny: a payload of a kind that is not listed here, a field that is not annotated, evidence that
 * is missing, or a threshold that is not met, and nothing leaves but a refusal.
 */
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import {
  Problem,
  Rule,
  SiteMessage,
  type Counts,
  type FactorLevels,
} from '@concordat/proto/concordat/v1/site.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { DisclosureFacts } from '@concordat/shared/disclosure/facts.ts';
import { isPerTrial, needsRiskSets } from '@concordat/shared/disclosure/per-trial.ts';
import {
  checkRelease,
  checkSelection,
  checkTogether,
  type Refusal,
} from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { Policy } from '@concordat/shared/disclosure/policy.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import { erasedIn } from '@concordat/shared/log/erasable.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import type { Ask } from '@concordat/shared/one-stage/types.ts';
import type { Analysis, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { decode, encode } from '@concordat/shared/wire/codec.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { checkPayload } from '@concordat/shared/wire/lengths.ts';
import { levelOf } from '@concordat/shared/wire/levels.ts';
import { LEVEL_TEXT_LIMIT } from '@concordat/shared/wire/protocol.ts';
import { refusal } from '@concordat/shared/wire/refusals.ts';
import { assertReleasable } from '@concordat/shared/wire/releasable.ts';
import { signMessage, type SigningIdentity } from '@concordat/shared/wire/signing.ts';

import type { Draft, Evidence, Payload } from '../fit/draft.ts';
import type { HeldAnswers } from './held.ts';
import type { Ledger } from './ledger.ts';

/** Under what thresholds an accepted run's questions are answered. */
export interface Terms {
  readonly policy: Policy;
  /** A refusal tells the count that fell short. */
  readonly tellCounts: boolean;
  /** A custodian sees each answer before it leaves. */
  readonly hold: boolean;
}

/** The task that is answered, and what its plan makes of it. */
export interface Task {
  readonly header: Header;
  /** SHA-256 of the task's body. */
  readonly digest: Uint8Array;
  readonly plan: ExpandedPlan | null;
  readonly analysis: Analysis | null;
  readonly askedVariables: readonly string[];
  /** Of a one-stage analysis: the question that the site's own replay asks; null elsewhere. */
  readonly ask: Ask | null;
  /** Null where no run was accepted: nothing about records is answered then. */
  readonly terms: Terms | null;
}

const made = new WeakSet<Released>();

/** A signed message that the gate let through and the log holds. Only the gate makes one. */
export class Released {
  readonly message: SignedMessage;
  readonly task: string;
  private readonly gate = true;

  /** @internal */
  static make(message: SignedMessage, task: string): Released {
    const released = new Released(message, task);
    made.add(released);
    return released;
  }

  private constructor(message: SignedMessage, task: string) {
    this.message = message;
    this.task = task;
  }

  /** True for what this class made: a structural look-alike is not a Released. */
  static check(value: Released): boolean {
    return made.has(value) && value.gate;
  }
}

export interface GateOptions {
  readonly study: string;
  readonly identity: SigningIdentity;
  readonly log: Pick<MessageLog, 'entries' | 'body' | 'append' | 'checkpoint'>;
  readonly held: HeldAnswers;
  /** Of what was answered about these records; absent where every threshold is off. */
  readonly ledger?: Ledger | undefined;
}

/** An answer that waits for a custodian. */
interface HeldAnswer {
  /** SHA-256 of the answer, hex. */
  readonly digest: string;
  /** Of the thresholds under which it was computed: under others it is computed again. */
  readonly policy: string;
}

const policyDigest = ({ policy }: Terms): string => toHex(sha256(JSON.stringify(policy)));

/** What the gate makes of a draft. */
interface Decision {
  readonly payload: Payload;
  readonly refusals: readonly Refusal[];
}

export class Gate {
  readonly #options: GateOptions;
  /** Task digest (hex) → commitment of what was sent: the same question gets the same bytes. */
  readonly #sent = new Map<string, EntryWithBody>();
  /** Entries whose bodies are erased: that is done while no agent serves. */
  readonly #erased: ReadonlySet<number>;
  /** Task digest (hex) → the answer that the log has as held last. */
  readonly #held = new Map<string, HeldAnswer>();

  constructor(options: GateOptions) {
    this.#options = options;
    this.#erased = new Set(options.log.entries.flatMap(erasedIn));
    for (const entry of options.log.entries) {
      if (entry.kind === 'sent' && entry.task !== undefined && hasBody(entry))
        this.#sent.set(entry.task, entry);
      const { held, policy } = entry.detail ?? {};
      if (entry.kind === 'decision' && entry.task !== undefined && held !== undefined)
        this.#held.set(entry.task, { digest: `${held}`, policy: `${policy}` });
    }
  }

  /** Whether an answer to this task left and was erased since: it cannot be given again, and another one is not given. */
  isErased(taskDigest: Uint8Array): boolean {
    const entry = this.#sent.get(toHex(taskDigest));
    return entry !== undefined && this.#erased.has(entry.n);
  }

  /** What was already released in answer to this task, byte for byte; null where nothing was. */
  earlier(taskDigest: Uint8Array): Released | null {
    const task = toHex(taskDigest);
    const entry = this.#sent.get(task);
    if (entry === undefined) return null;
    return Released.make(decode(SignedMessage, this.#options.log.body(entry), 'a logged message'), task);
  }

  /**
   * Never throws for what a draft holds: what cannot be released as drafted is answered as an internal problem. Null where the
   * answer is held until a custodian has seen it.
   */
  release(draft: Draft, task: Task): Released | null {
    const earlier = this.earlier(task.digest);
    if (earlier !== null) return earlier;

    const { payload, refusals } = this.#enter(draft, task, this.#decide(draft, task));
    if (task.terms?.hold === true && tellsRecords(payload)) {
      try {
        check(payload, task);
      } catch (error) {
        if (!(error instanceof ConcordatError)) throw error;
        return this.#problem(error, task);
      }
      const digest = this.#options.held.put(toHex(task.digest), payload);
      const policy = policyDigest(task.terms);
      this.#options.log.append({
        kind: 'decision',
        ...place(task),
        type: payload.$case,
        detail: { held: digest, policy },
      });
      this.#held.set(toHex(task.digest), { digest, policy });
      return null;
    }
    if (refusals.length > 0) this.#logRefusals(refusals, task);
    return this.#sendOrProblem(payload, task);
  }

  /** What was held, now that a custodian let it go; null where nothing is held. */
  releaseHeld(task: Task): Released | null {
    const earlier = this.earlier(task.digest);
    if (earlier !== null) return earlier;
    const digest = toHex(task.digest);
    const payload = this.#options.held.get(digest, this.#held.get(digest)?.digest ?? '');
    // Its lengths were checked when it was held; of a question about parameters they follow from a replay that is over.
    return payload === null ? null : this.#sendOrProblem(payload, { ...task, plan: null });
  }

  /**
   * The answer (SHA-256, hex) to a task (hex) that is held; null where none is, or the file is not the one that the log has: a
   * crash came between the two, or somebody has changed it.
   */
  held(task: string): string | null {
    const digest = this.#held.get(task)?.digest;
    return digest !== undefined && digest === this.#options.held.digest(task) ? digest : null;
  }

  /** Whether an answer to this task is held that was computed under the thresholds of now. */
  holds(task: Task): boolean {
    const digest = toHex(task.digest);
    return (
      task.terms !== null &&
      this.held(digest) !== null &&
      this.#held.get(digest)?.policy === policyDigest(task.terms)
    );
  }

  /** What would be released, and what stood in the way; nothing is logged. For the ledger it is answered. */
  preview(draft: Draft, task: Task): { readonly payload: Payload; readonly refusals: readonly Refusal[] } {
    return this.#enter(draft, task, this.#decide(draft, task));
  }

  #sendOrProblem(payload: Payload, task: Task): Released {
    try {
      return this.#send(payload, task);
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      return this.#problem(error, task);
    }
  }

  /**
   * All rules that refuse are one entry, flushed once: the log's size leaves with every message, and time is seen by whoever waits, so
   * that an entry for each would tell how many rules an answer failed, and with it how few the participants are. What was observed is
   * in the body, which is not shown to everybody who may see the log.
   */
  #logRefusals(refusals: readonly Refusal[], task: Task): void {
    const { rule, code, threshold } = refusals[0] ?? agreementRefusal;
    this.#options.log.append(
      { kind: 'refused', ...place(task), type: 'refusals', detail: { rule, code, threshold } },
      Buffer.from(JSON.stringify(refusals)),
    );
  }

  #problem({ code, place: where }: ConcordatError, task: Task): Released {
    this.#options.log.append({ kind: 'refused', ...place(task), detail: { code, place: where ?? '' } });
    return this.#send({ $case: 'dataProblem', value: { problem: Problem.PROBLEM_INTERNAL } }, task);
  }

  /**
   * What may leave goes into the ledger first, unless it could be subtracted from what is there. A refusal is about no set.
   */
  #enter({ evidence }: Draft, task: Task, decision: Decision): Decision {
    const { ledger } = this.#options;
    const { terms } = task;
    if (
      terms === null ||
      ledger === undefined ||
      evidence.kind === 'none' ||
      decision.payload.$case === 'refusal'
    )
      return decision;
    const members = evidence.members ?? null;
    if (members === null) return refuse([agreementRefusal], false);
    const { policy, tellCounts } = terms;
    const question = decision.payload.$case === 'objectiveValue' ? questionOf(task) : null;
    const crossing = evidence.kind === 'analysis-set' ? (evidence.crossing ?? null) : null;
    // What was not held against every answer that is linked with it has no evidence.
    if (evidence.kind === 'analysis-set' && (crossing === null || !ledger.coversAnswered(members, crossing)))
      return refuse([agreementRefusal], false);
    const refusals = [
      ...ledger.checkMembers(members, policy),
      ...(evidence.kind === 'analysis-set' ? checkTogether(evidence.facts, policy) : []),
      ...(question === null ? [] : ledger.checkQuestion(members, question, policy)),
    ];
    if (refusals.length > 0) return refuse(refusals, tellCounts);
    ledger.record(members, question, crossing?.crossed ?? null);
    return decision;
  }

  /** Allow-listed fields and lengths → sign → log and flush. */
  #send(payload: Payload, task: Task): Released {
    const { log, identity, study } = this.#options;
    const message: SiteMessage = {
      header: {
        study,
        run: task.header.run,
        analysis: task.header.analysis,
        round: task.header.round,
        planDigest: task.header.planDigest,
        rosterDigest: task.header.rosterDigest,
        attempt: task.header.attempt,
        inReplyTo: task.digest,
        checkpoint: log.checkpoint(),
      },
      payload,
    };
    assertReleasable('SiteMessage', message);
    check(payload, task);
    const signed = signMessage(identity, encode(SiteMessage, message, 'a reply'));
    const bytes = encode(SignedMessage, signed, 'a reply');
    const entry = log.append({ kind: 'sent', ...place(task), type: payload.$case }, bytes);
    if (hasBody(entry)) this.#sent.set(toHex(task.digest), entry);
    return Released.make(signed, toHex(task.digest));
  }

  #decide(draft: Draft, task: Task): Decision {
    const { payload, evidence } = draft;
    const { terms } = task;
    // A closed code that no row was looked at for is no answer about records.
    if (!tellsRecords(payload) || (payload.$case === 'dataProblem' && evidence.kind === 'none'))
      return { payload, refusals: [] };
    if (terms === null) return refuse([agreementRefusal], false);
    const { policy, tellCounts } = terms;
    switch (payload.$case) {
      case 'stageOneEstimate':
      case 'stageOneFailure':
      case 'oneStageEntry':
      case 'objectiveValue': {
        const { plan, analysis } = task;
        const computed = plan !== null && analysis !== null && analysis.unsupported === null;
        if (!computed || evidence.kind !== 'analysis-set') return refuse([agreementRefusal], false);
        const refusals = checkRelease(evidence.facts, policy);
        if (isPerTrial(payload, plan, analysis, task.ask) && !policy.per_trial_estimates)
          refusals.push(perTrialRefusal);
        if (needsRiskSets(analysis) && !policy.shared_baseline) refusals.push(sharedBaselineRefusal);
        if (refusals.length > 0) return refuse(refusals, tellCounts);
        return { payload: withoutFewEventFree(payload, evidence.facts, policy), refusals };
      }
      case 'factorLevels':
        if (!asksPlan(task) || evidence.kind !== 'levels') return refuse([agreementRefusal], false);
        return decideLevels(evidence, terms);
      case 'dataProblem': {
        const refusals =
          evidence.kind === 'selected-rows'
            ? checkSelection(evidence.participants, policy, evidence.cells)
            : [];
        return refusals.length > 0 ? refuse(refusals, tellCounts) : { payload, refusals };
      }
      default:
        return refuse([agreementRefusal], false);
    }
  }
}

/** Only levels that enough participants have; none where the variable looks like an identifier or free text. */
function decideLevels(
  evidence: Extract<Evidence, { kind: 'levels' }>,
  { policy, tellCounts }: Terms,
): Decision {
  const { levels: rule, smallest_cell } = policy;
  const refusals: Refusal[] = checkSelection(evidence.participants, policy, evidence.cells);
  const value: FactorLevels = { variables: [] };
  for (const { variable, levels } of evidence.variables) {
    const longText = levels.some(({ code }) => typeof code === 'string' && code.length > LEVEL_TEXT_LIMIT);
    const tooMany = rule.maximum !== null && levels.length > rule.maximum;
    if (!rule.release || tooMany || longText) {
      refusals.push({
        rule: 'factor-levels',
        code: 'RULE_FACTOR_LEVELS',
        threshold: rule.maximum ?? 0,
        observed: levels.length,
      });
    }
    const common = levels.filter(({ participants }) => participants >= (smallest_cell ?? 1));
    value.variables.push({ variable, levels: common.map(({ code }) => levelOf(code)) });
  }
  return refusals.length > 0
    ? refuse(refusals, tellCounts)
    : { payload: { $case: 'factorLevels', value }, refusals };
}

/** The lengths that the plan gives an answer. */
function check(payload: Payload, { plan, analysis, askedVariables, ask }: Task): void {
  if (plan !== null) checkPayload(payload, plan, analysis, askedVariables, ask?.length ?? 0);
}

/**
 * Where all but a few of an arm were followed to the event, its events are the count of those few, which is told no more than
 * that of any small cell. The estimate stands: nothing else in it counts them.
 */
function withoutFewEventFree(
  payload: Payload,
  { eventFree }: DisclosureFacts,
  { smallest_cell }: Policy,
): Payload {
  if (smallest_cell === null || eventFree === null || eventFree === 0 || eventFree >= smallest_cell)
    return payload;
  const quiet = (counts: Counts | undefined): Counts | undefined =>
    counts === undefined ? undefined : { ...counts, events: [] };
  switch (payload.$case) {
    case 'stageOneEstimate':
      return { $case: payload.$case, value: { ...payload.value, counts: quiet(payload.value.counts) } };
    case 'stageOneFailure':
      return { $case: payload.$case, value: { ...payload.value, counts: quiet(payload.value.counts) } };
    case 'oneStageEntry':
      return { $case: payload.$case, value: { ...payload.value, counts: quiet(payload.value.counts) } };
    default:
      return payload;
  }
}

/** The same of the same question, whatever plan, run or analysis asks it. */
function questionOf({ plan, analysis, ask }: Task): string {
  const text = JSON.stringify(
    [
      plan?.population,
      plan?.treatment,
      plan?.outcome,
      plan?.levels,
      analysis === null ? null : { ...analysis, id: '', pool: null },
      ask,
    ],
    (_, value: unknown) => (value instanceof Float64Array ? [...value] : value),
  );
  return toHex(sha256(text));
}

const sharedBaselineRefusal: Refusal = {
  rule: 'shared baseline',
  code: 'RULE_SHARED_BASELINE',
  threshold: 0,
  observed: 1,
};

const perTrialRefusal: Refusal = {
  rule: 'per-trial estimates',
  code: 'RULE_PER_TRIAL_ESTIMATES',
  threshold: 0,
  observed: 1,
};

/** Levels may leave of the factors whose levels the plan leaves to be agreed, and of no other column. */
function asksPlan({ plan, askedVariables }: Task): boolean {
  return plan !== null && askedVariables.every((variable) => plan.undeclared.includes(variable));
}

/** Where the log places what happens to a task. */
function place({ header, digest }: Task): Pick<LogEntry, 'peer' | 'run' | 'analysis' | 'round' | 'task'> {
  const { analysis, round } = header;
  return { peer: 'coordinator', run: toHex(header.run), analysis, round, task: toHex(digest) };
}

const agreementRefusal: Refusal = { rule: 'agreement', code: 'RULE_AGREEMENT', threshold: 0, observed: 0 };

function refuse(refusals: readonly Refusal[], tellCounts: boolean): Decision {
  const { code, threshold, observed } = refusals[0] ?? agreementRefusal;
  const told = tellCounts ? { observed } : {};
  return { payload: { $case: 'refusal', value: refusal(Rule[code], threshold, told) }, refusals };
}

/** An answer about records: what a custodian who sees each answer is shown first. */
function tellsRecords({ $case }: Payload): boolean {
  return $case !== 'refusal' && $case !== 'planAccepted' && $case !== 'runLeft';
}
