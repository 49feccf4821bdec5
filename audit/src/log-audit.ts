/** One log, entry by entry, through every check that needs no other. */

import type { AuditedEntry } from './audited-entry.ts';
import { ApprovalCheck } from './approval-check.ts';
import type { Report } from './finding.ts';
import { COORDINATOR, named, type PartyKeys } from './keys.ts';
import { LogIndex } from './log-index.ts';
import { isMessage, placeOf, readMessage, type LoggedMessage, type Owner } from './logged-message.ts';
import { MessageCheck } from './message-check.ts';
import { AnswerOrder, OrderCheck } from './order.ts';
import { analysisOf, type Offered, type Plans } from './plans.ts';
import { PolicyCheck } from './policy-check.ts';
import { QuestionCheck } from './question-check.ts';
import { RefusedReplies } from './refused-replies.ts';
import { Tally } from './tally.ts';

export class LogAudit {
  readonly index: LogIndex;
  readonly #owner: Owner;
  readonly #report: Report;
  readonly #plans: Plans;
  readonly #tally: Tally;
  readonly #order: OrderCheck;
  readonly #answers: AnswerOrder;
  readonly #messages: MessageCheck;
  readonly #refused: RefusedReplies;
  readonly #approval: ApprovalCheck | null;
  readonly #policy: PolicyCheck;
  readonly #questions: QuestionCheck;
  /** What its runs are of, by run (hex). */
  readonly runs = new Map<string, Offered>();
  /** Messages whose numbers cannot be seen, and answers that nobody can judge without them. */
  hidden = 0;
  #unjudged = 0;

  constructor(owner: Owner, keys: PartyKeys, plans: Plans, report: Report) {
    this.#owner = owner;
    this.#report = report;
    this.#plans = plans;
    this.#tally = new Tally(report);
    this.index = new LogIndex(owner);
    this.#order = new OrderCheck(owner, report);
    this.#answers = new AnswerOrder(owner, report);
    this.#messages = new MessageCheck(owner, keys, plans, report);
    const log = { keys, messages: this.#messages, index: this.index };
    this.#refused = new RefusedReplies(owner, log, report, this.#tally);
    this.#approval =
      owner.party === COORDINATOR ? null : new ApprovalCheck(owner, plans, report, this.#tally);
    this.#policy = new PolicyCheck(this.#tally);
    this.#questions = new QuestionCheck(report);
  }

  get unjudged(): number {
    return this.#unjudged + (this.#approval?.unjudged ?? 0);
  }

  /** Every entry in its turn. Returns its message, where it holds one. */
  take(audited: AuditedEntry): LoggedMessage | null {
    const { entry, body } = audited;
    const message = readMessage(audited, this.#owner, this.#report);
    if (isMessage(entry) && (body === 'erased' || body === 'withheld' || body === null)) this.hidden++;
    if (isMessage(entry) && body === null)
      this.#tally.find('no body', {
        kind: 'malformed',
        place: placeOf(this.#owner, entry),
        message: `the entry says that a message was ${entry.kind}, and the log was never given what it says`,
      });
    this.#order.take(audited, message);
    const seen = this.index.take(entry, message, this.#refused.take(audited));
    if (seen !== null && message !== null) {
      const sender = message.what === 'task' ? COORDINATOR : message.header.study;
      this.#tally.find(`seen ${sender}`, {
        kind: 'fork',
        place: message.place,
        message: `${named(sender)} says that its log had another history of ${seen.size} entries than it said at entry ${seen.n}`,
      });
    }
    if (entry.type === 'divergence' || entry.type === 'acknowledgement') this.#noteDivergence(audited);
    this.#approval?.take(audited);
    if (message !== null) this.#takeMessage(message);
    else if (entry.kind === (this.#owner.party === COORDINATOR ? 'sent' : 'received'))
      this.#answers.unread(entry.task ?? '');
    return message;
  }

  #takeMessage(message: LoggedMessage): void {
    this.#answers.take(message);
    const task = this.#messages.take(message);
    const offered = this.#messages.offer(message.entry.run ?? '');
    if (message.what === 'task') {
      if (message.payload.$case === 'planOffer' && offered !== null) this.runs.set(offered.run, offered);
      if (this.#approval === null || offered === null) return;
      this.#approval.offer(message);
      const plan = this.#plans.expanded(offered.plan, message.payload);
      this.#questions.take(message, plan, analysisOf(plan, message.header.analysis));
      if (message.payload.$case === 'runClosed') this.#questions.close(offered.run);
      return;
    }
    if (this.#approval === null) return;
    this.#questions.entered(message);
    const terms = this.#approval.sent(message, task);
    const honest = this.#questions.answered(message.task);
    if (terms === null || task === null || offered === null) return;
    const plan = this.#plans.expanded(offered.plan, task.payload);
    const analysis = analysisOf(plan, message.header.analysis);
    const step = task.payload.$case === 'objectiveQuestion' ? task.payload.value.step : null;
    this.#policy.check(message, { plan, analysis, ask: honest?.ask ?? null, step }, terms);
  }

  /** That two histories were seen is known to both sides: an auditor should know it too. */
  #noteDivergence({ entry }: AuditedEntry): void {
    const { type, detail = {}, peer } = entry;
    this.#report.note({
      place: placeOf(this.#owner, entry),
      message:
        type === 'divergence'
          ? `a ${detail['divergence']} of ${detail['log']} was noticed, with ${peer}: ${detail['kept_size']} entries were kept, and ${detail['size']} shown`
          : `a ${detail['divergence']} of ${detail['log']} was acknowledged`,
    });
  }

  /** `proven`: the entries are those of the log's checkpoint. */
  finish(proven: boolean): void {
    this.#order.finish(proven);
    this.#answers.finish();
    this.#messages.finish();
    this.#refused.finish();
    this.#tally.finish();
  }
}
