/** What custodians allowed, and for which plans, sites, records and agreement it holds. */
import { fromHex, sameBytes } from '../wire/digest.ts';

import type { Agreement } from './document.ts';
import {
  statementDigest,
  type ApproveStatement,
  type SignedStatement,
  type Signer,
  type Statement,
} from './statements.ts';

export interface Approval extends ApproveStatement, Signer {
  /** SHA-256 (hex) of the statement. */
  readonly digest: string;
}

export interface Roster {
  readonly sites: readonly string[];
  readonly minimum: number;
}

/** What was accepted under a run once, also one that is over. */
export interface Earlier extends Roster {
  readonly run: string;
  /** Digests of its analyses. */
  readonly asked: readonly string[];
}

/** The approvals that stand once a further statement counts. */
export function approvalsAfter(
  approvals: readonly Approval[],
  signed: SignedStatement,
  statement: Statement,
): readonly Approval[] {
  switch (statement.kind) {
    case 'approve':
      return [...approvals, { ...statement, digest: statementDigest(signed) }];
    case 'refuse':
      // What was approved before is not allowed again under another run without being asked.
      return approvals.filter(({ plan }) => plan !== statement.plan);
    case 'release':
    case 'withhold':
      return approvals;
  }
}

/** The newest approval under which a run may go ahead; undefined where a custodian has to be asked. */
export function approvalFor(
  approvals: readonly Approval[],
  asked: {
    readonly run: string;
    readonly plan: string;
    readonly roster: Roster;
    /** Some of its questions were answered with more sites, or a greater minimum: it needs an approval of its own. */
    readonly shrunk: boolean;
    /** Seal of the records as they are now. */
    readonly data: string;
    readonly agreement: Agreement;
  },
): Approval | undefined {
  const { run, plan, roster, shrunk, data, agreement } = asked;
  return approvals.findLast(
    (given) =>
      given.plan === plan &&
      given.data === data &&
      given.agreement === agreement.digest &&
      isCustodian(agreement, given) &&
      (given.run === run ? sameRoster(given, roster) : !shrunk && !isSmaller(roster, given)),
  );
}

/** Whether some of the questions of a run were accepted with more sites, or a greater minimum, under another. */
export const isShrunk = (asked: Earlier, earlier: readonly Earlier[]): boolean =>
  earlier.some(
    (other) =>
      other.run !== asked.run &&
      isSmaller(asked, other) &&
      other.asked.some((question) => asked.asked.includes(question)),
  );

/** Whether the roster lacks a site of the other's, or lets fewer do. */
function isSmaller(roster: Roster, other: Roster): boolean {
  return roster.minimum < other.minimum || other.sites.some((site) => !roster.sites.includes(site));
}

export const sameRoster = (a: Roster, b: Roster): boolean => !isSmaller(a, b) && !isSmaller(b, a);

export function isCustodian(
  agreement: Agreement,
  { custodian, key }: Pick<Signer, 'custodian' | 'key'>,
): boolean {
  return agreement.custodians.some(
    (party) => party.name === custodian && sameBytes(fromHex(party.key), fromHex(key)),
  );
}
