/** What the tests of runs share: a small plan, and answers made by hand. */
import { CoordinatorMessage, Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import type { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage, type StageOneEstimate } from '@concordat/proto/concordat/v1/site.ts';

import { sha256 } from '../wire/digest.ts';
import { generateSigningKey, signingIdentity, signMessage, type SigningIdentity } from '../wire/signing.ts';

export type Payload = NonNullable<SiteMessage['payload']>;

/** Two analyses, the second with a factor whose levels are agreed. Its columns: (intercept), treatment, and one a level but the first. */
export const PLAN = `plan: 1
id: small
treatment: {variable: arm, control: 0, active: 1}
outcome: {kind: continuous, variable: y}
minimum_studies: 2
time_limit: 60
analyses:
  - {id: effect, approach: two-stage, model: {family: gaussian}}
  - {id: adjusted, approach: two-stage, model: {family: gaussian, adjust: [factor(centre)]}}
`;

export const STUDIES = ['A', 'B', 'C'];
export const coordinator = signingIdentity(generateSigningKey(), 'coordinator');
export const identities = new Map(
  STUDIES.map((study) => [study, signingIdentity(generateSigningKey(), study)]),
);
export const roster = Roster.encode({
  sites: STUDIES.map((study) => ({ study, key: identities.get(study)!.publicKey })),
  minimumStudies: 2,
  masked: false,
}).finish();

/** An estimate of p terms, all estimable, told apart by study and term. */
export function estimate(study: string, p: number): StageOneEstimate {
  const i = STUDIES.indexOf(study);
  const vcov = Array.from({ length: p }, (_, row) =>
    Array.from({ length: row + 1 }, (__, column) => (row === column ? 0.01 * (1 + i) : 0)),
  );
  return {
    counts: {
      participants: [50 + i, 51 + i],
      events: [],
      notInPopulation: 1,
      otherTreatment: 0,
      missingTreatment: 0,
      missingOutcome: 2,
      missingCovariate: 3,
    },
    estimable: Array.from({ length: p }, () => true),
    estimates: Array.from({ length: p }, (_, term) => 0.1 * (i + 1) + term),
    vcov: vcov.flat(),
    logLikelihoodNull: -60,
    logLikelihood: -50,
    residualVariance: 1,
    modifierMeans: [],
    rounds: 1,
    badlyScaled: [],
  };
}

/** Levels of `centre`: what each study has, in its own order. */
const CENTRES: Readonly<Record<string, readonly (string | number)[]>> = {
  A: ['south', 2],
  B: ['north', 10],
  C: [2],
};
/** The union of all: numbers, then text. */
export const AGREED = [2, 10, 'north', 'south'];

/** What an honest site answers. */
export function honest(study: string, { payload, header }: CoordinatorMessage): Payload {
  switch (payload?.$case) {
    case 'planOffer':
      return { $case: 'planAccepted', value: { policyDigest: sha256('policy'), openPolicy: false } };
    case 'factorLevelsQuestion':
      return {
        $case: 'factorLevels',
        value: { variables: [{ variable: 'centre', levels: levelsOf(study) }] },
      };
    case 'stageOneQuestion': {
      const agreed = payload.value.agreedLevels[0]?.levels.length ?? 0;
      return {
        $case: 'stageOneEstimate',
        value: estimate(study, header?.analysis === 'effect' ? 2 : 1 + agreed),
      };
    }
    default:
      return { $case: 'runLeft', value: {} };
  }
}

function levelsOf(
  study: string,
): { code: { $case: 'text'; value: string } | { $case: 'number'; value: number } }[] {
  return (CENTRES[study] ?? []).map((value) => ({
    code: typeof value === 'number' ? { $case: 'number', value } : { $case: 'text', value },
  }));
}

/** A reply to a task, as a site signs it; `over` changes its header. */
export function replyTo(
  task: SignedMessage,
  payload: Payload | undefined,
  identity: SigningIdentity,
  over: Partial<NonNullable<SiteMessage['header']>> = {},
): SignedMessage {
  const { header } = CoordinatorMessage.decode(task.body);
  if (header === undefined) throw new Error('a task without a header');
  const own = {
    ...header,
    inReplyTo: sha256(task.body),
    checkpoint: { size: 1, root: sha256('root') },
    ...over,
  };
  return signMessage(identity, SiteMessage.encode({ header: own, payload }).finish());
}
