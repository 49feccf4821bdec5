/** What was in force at a site, as its log tells it entry by entry: agreement, templates, and what its custodians decided. */
import { approvalsAfter, isCustodian, type Approval } from '@concordat/shared/agreement/approvals.ts';
import { parseAgreement, type Agreement } from '@concordat/shared/agreement/document.ts';
import {
  isOvertakenBy,
  readSigned,
  readStatement,
  statementDigest,
  subjectsOf,
  type SignedStatement,
  type Signer,
  type Statement,
} from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import type { LogEntry } from '@concordat/shared/log/entry.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

import type { AuditedEntry } from './audited-entry.ts';
import type { Report } from './finding.ts';
import { placeOf, type Owner } from './logged-message.ts';
import type { Plans, ReadPlan } from './plans.ts';

type Kept<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

export class InForce {
  readonly #owner: Owner;
  readonly #plans: Plans;
  readonly #report: Report;
  /** By path, as the agreement writes it; null where the file was none, or its text cannot be seen. */
  readonly #templates = new Map<string, ReadPlan | null>();
  readonly #words = new Map<string, Statement>();
  #approvals: readonly Approval[] = [];
  readonly #approvers = new Map<string, Signer>();
  readonly #refusals = new Map<string, Kept<'refuse'>>();
  readonly #refusedPlans = new Map<string, Kept<'refuse'>>();
  readonly #releases = new Map<string, Kept<'release' | 'withhold'>>();
  /** The last that was logged. Null: none yet. */
  agreement: Agreement | null = null;
  /** Whether a text that decides was withheld or erased: then nobody can say what was allowed. */
  hidden = false;

  constructor(owner: Owner, plans: Plans, report: Report) {
    this.#owner = owner;
    this.#plans = plans;
    this.#report = report;
  }

  /** Approvals that no refusal has taken back. */
  get approvals(): readonly Approval[] {
    return this.#approvals;
  }

  signerOf(statement: string): Signer | null {
    return this.#approvers.get(statement) ?? null;
  }

  /** The custodian's no to a run, if the last word about it is one. */
  refusalOf(run: string): Statement | null {
    return this.#refusals.get(run) ?? null;
  }

  /** Refusals of plans that no custodian has approved since. */
  get refusedPlans(): readonly Kept<'refuse'>[] {
    return [...this.#refusedPlans.values()];
  }

  releaseOf(task: string): Kept<'release' | 'withhold'> | null {
    return this.#releases.get(task) ?? null;
  }

  /** Those that an agreement names, as they stand. */
  templatesOf({ templates }: Agreement): readonly ReadPlan[] {
    return templates.flatMap((path) => this.#templates.get(path) ?? []);
  }

  take({ entry, body }: AuditedEntry): void {
    if (entry.kind !== 'decision') return;
    const { type } = entry;
    if (type !== 'agreement' && type !== 'template' && type !== 'statement') return;
    if (body !== null && !(body instanceof Uint8Array)) {
      this.hidden = true;
      return;
    }
    const text = body === null ? null : Buffer.from(body).toString('utf8');
    if (type === 'template') return this.#takeTemplate(entry, text);
    if (text === null) return this.#malformed(entry, `there is no ${type} behind the entry`);
    if (type === 'agreement') this.#takeAgreement(entry, text);
    else this.#takeStatement(entry, text);
  }

  #takeAgreement(entry: LogEntry, text: string): void {
    try {
      // Whether every threshold may be off is judged where something is approved under it.
      this.agreement = parseAgreement(text, 'the log', { local: true });
    } catch (error) {
      if (!(error instanceof ConcordatError)) throw error;
      return this.#malformed(entry, `the agreement cannot be read: ${error.message}`);
    }
    this.#compare(entry, 'agreement', this.agreement.digest);
  }

  #takeTemplate(entry: LogEntry, text: string | null): void {
    const path = `${entry.detail?.['template_file']}`;
    if (text === null) return void this.#templates.set(path, null);
    const plan = this.#plans.read(text);
    this.#templates.set(path, plan);
    this.#compare(entry, 'template', plan.digest);
  }

  #takeStatement(entry: LogEntry, text: string): void {
    const signed = readSigned(text);
    const statement = signed === null ? null : readStatement(signed);
    const place = placeOf(this.#owner, entry);
    if (signed === null || statement === null)
      return this.#report.find({
        kind: 'signature',
        place,
        message: 'a custodian’s statement that the key which it names has not signed',
      });
    this.#compare(entry, 'statement', statementDigest(signed));
    const fault =
      statement.study !== this.#owner.party
        ? `is of another site, ${statement.study}`
        : this.agreement === null || !isCustodian(this.agreement, statement)
          ? `is of ${statement.custodian}, whom the agreement of the time does not name with that key`
          : subjectsOf(statement).some((subject) => {
                const word = this.#words.get(subject);
                return word !== undefined && isOvertakenBy(statement, word);
              })
            ? 'comes after a later no'
            : null;
    if (fault === null) return this.#keep(signed, statement);
    this.#report.find({ kind: 'approval', place, message: `a custodian’s statement counts that ${fault}` });
  }

  #keep(signed: SignedStatement, statement: Statement): void {
    this.#approvals = approvalsAfter(this.#approvals, signed, statement);
    for (const subject of subjectsOf(statement)) this.#words.set(subject, statement);
    switch (statement.kind) {
      case 'approve':
        this.#approvers.set(statementDigest(signed), statement);
        this.#refusals.delete(statement.run);
        this.#refusedPlans.delete(statement.plan);
        return;
      case 'refuse':
        this.#refusals.set(statement.run, statement);
        this.#refusedPlans.set(statement.plan, statement);
        return;
      case 'release':
      case 'withhold':
        this.#releases.set(statement.task, statement);
    }
  }

  #compare(entry: LogEntry, field: string, digest: string): void {
    const said = entry.detail?.[field];
    if (said === digest) return;
    this.#report.find({
      kind: 'mutation',
      place: { ...placeOf(this.#owner, entry), field },
      message: `the entry names another ${field} (SHA-256 ${said}) than the one behind it (${digest})`,
    });
  }

  #malformed(entry: LogEntry, message: string): void {
    this.#report.find({ kind: 'malformed', place: placeOf(this.#owner, entry), message });
  }
}

export const policyDigestOf = ({ policy }: Pick<Agreement, 'policy'>): string =>
  toHex(sha256(JSON.stringify(policy)));
