/** The plans that a log's runs are of, and the forms that they give messages. */
import type { PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { rosterOf, signerOf } from '@concordat/shared/agreement/offers.ts';
import type { Roster } from '@concordat/shared/agreement/approvals.ts';
import { askedBy } from '@concordat/shared/agreement/asked.ts';
import { expandPlan } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';
import type { Analysis, Code, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { agreedLevels } from '@concordat/shared/wire/levels.ts';

import type { LoggedTask } from './logged-message.ts';

/** A plan's text, read. */
export interface ReadPlan {
  readonly digest: string;
  /** Null where the text is no plan. */
  readonly written: WrittenPlan | null;
  /** Digests of its analyses; see `askedBy`. */
  readonly asked: readonly string[];
}

/** An offer of a plan, without its text. */
export interface Offered {
  /** Hex. */
  readonly run: string;
  readonly plan: ReadPlan;
  readonly rosterDigest: Uint8Array;
  readonly roster: Roster;
  /** With the sites' keys; undefined where the offer has none. */
  readonly sites: PlanOffer['roster'];
  readonly signer: string | null;
  /** Whether the plan's signature is that key's. */
  readonly signed: boolean;
}

/** Plans by digest and levels, each read and expanded once for all logs. */
export class Plans {
  readonly #plans = new Map<string, ReadPlan>();
  readonly #expanded = new Map<string, ExpandedPlan>();

  read(text: string): ReadPlan {
    const digest = toHex(sha256(text));
    const known = this.#plans.get(digest);
    if (known !== undefined) return known;
    const written = planIn(text);
    const plan = { digest, written, asked: written === null ? [] : askedBy(written) };
    this.#plans.set(digest, plan);
    return plan;
  }

  offered({ header, entry }: LoggedTask, offer: PlanOffer): Offered {
    const [signer, signed] = signerOf(offer);
    return {
      run: entry.run ?? toHex(header.run),
      plan: this.read(offer.plan),
      rosterDigest: header.rosterDigest,
      roster: rosterOf(offer),
      sites: offer.roster,
      signer,
      signed,
    };
  }

  /** As a question's levels make it; null where the plan is none, or cannot be so expanded. */
  expanded({ digest, written }: ReadPlan, payload: LoggedTask['payload'] | null): ExpandedPlan | null {
    if (written === null) return null;
    const levels = levelsOf(payload);
    const key = `${digest} ${levels === NONE ? '' : JSON.stringify(levels)}`;
    const known = this.#expanded.get(key);
    if (known !== undefined) return known;
    try {
      const expanded = expandPlan(written, levels);
      this.#expanded.set(key, expanded);
      return expanded;
    } catch (error) {
      if (error instanceof ConcordatError) return null;
      throw error;
    }
  }
}

export const analysisOf = (plan: ExpandedPlan | null, id: string): Analysis | null =>
  plan?.analyses.find((analysis) => analysis.id === id) ?? null;

/** All are declared by the plan, as almost always. */
const NONE = {};

function levelsOf(payload: LoggedTask['payload'] | null): Readonly<Record<string, readonly Code[]>> {
  switch (payload?.$case) {
    case 'stageOneQuestion':
    case 'entryQuestion':
    case 'objectiveQuestion':
      return payload.value.agreedLevels.length === 0 ? NONE : agreedLevels(payload.value);
    default:
      return NONE;
  }
}

/** What was read last: of a run, several checks ask for the same plan. */
let last: { readonly text: string; readonly written: WrittenPlan } | null = null;

/** Throws where the text is no plan. */
export function readPlan(text: string): WrittenPlan {
  if (last?.text !== text) last = { text, written: parsePlan(text, 'the plan') };
  return last.written;
}

function planIn(text: string): WrittenPlan | null {
  try {
    return readPlan(text);
  } catch (error) {
    if (error instanceof ConcordatError) return null;
    throw error;
  }
}
