/** Reads `agreement.yaml`: what this site's data-sharing agreement allows, as the agent enforces it. */
import schema from '../../schema/agreement.schema.json' with { type: 'json' };
import type { WrittenAgreement } from '../disclosure/agreement-schema.ts';
import { DEFAULT_POLICY, isOpenPolicy, type Policy } from '../disclosure/policy.ts';
import { ConcordatError } from '../errors.ts';
import { documentReader } from '../plan/document.ts';
import { sha256, toHex } from '../wire/digest.ts';

import { agreementFindings } from './findings.ts';

/** A person, known by a public Ed25519 key. */
export interface Party {
  readonly name: string;
  /** 64 hexadecimal digits. */
  readonly key: string;
}

export interface Agreement {
  readonly name: string;
  /** Last day (UTC) on which anything may leave, `YYYY-MM-DD`. */
  readonly until: string;
  /** Who may ask; null: whoever the pinned coordinator speaks for. */
  readonly statisticians: readonly Party[] | null;
  /** Who may approve and refuse. */
  readonly custodians: readonly Party[];
  readonly approval: 'each-plan' | 'matching-template' | 'each-release' | 'automatic';
  /** Paths of plan files, as written. */
  readonly templates: readonly string[];
  /** Variables that a plan may use beside the outcome. */
  readonly variables: readonly string[] | 'all';
  readonly outcomes: readonly string[] | 'all';
  readonly families: readonly string[] | 'all';
  /** A refusal tells the count that fell short. */
  readonly tellCounts: boolean;
  /** Thresholds: the shipped policy, with what the agreement changes. */
  readonly policy: Policy;
  /** SHA-256 (hex) of the file. */
  readonly digest: string;
  /** The file as it is. */
  readonly text: string;
}

/** What only `concordat local` may do, where custodian and statistician are one. */
export interface LocalLeave {
  /** `approval: automatic`, and every threshold off. */
  readonly local: boolean;
}

const read = documentReader<WrittenAgreement>({
  name: 'agreement',
  schema,
  syntaxCode: 'agreement/invalid',
  schemaCode: 'agreement/invalid',
  check: agreementFindings,
});

/**
 * Reads an agreement's text; thresholds that it does not name keep the shipped value.
 * @throws ConcordatError `agreement/invalid`, listing every fault
 */
export function parseAgreement(text: string, place: string, { local }: LocalLeave): Agreement {
  const written = read(text, place);
  const { participants, levels, ...thresholds } = written.disclosure ?? {};
  const policy: Policy = {
    ...DEFAULT_POLICY,
    ...thresholds,
    participants: { ...DEFAULT_POLICY.participants, ...participants },
    levels: { ...DEFAULT_POLICY.levels, ...levels },
  };
  if (!local && (written.approval === 'automatic' || isOpenPolicy(policy))) {
    throw new ConcordatError(
      'agreement/invalid',
      written.approval === 'automatic'
        ? '`approval: automatic` is for `concordat local` alone'
        : 'every disclosure rule is switched off, which is for `concordat local` alone',
      {
        place,
        remedy:
          written.approval === 'automatic'
            ? 'choose `each-plan`, `matching-template` or `each-release`'
            : 'leave the shipped thresholds where the agreement names no others',
      },
    );
  }
  return {
    name: written.name,
    until: written.until,
    statisticians: written.statisticians ?? null,
    custodians: written.custodians ?? [],
    approval: written.approval,
    templates: written.templates ?? [],
    variables: written.variables,
    outcomes: written.outcomes,
    families: written.families,
    tellCounts: written.tell_counts ?? false,
    policy,
    digest: toHex(sha256(text)),
    text,
  };
}
