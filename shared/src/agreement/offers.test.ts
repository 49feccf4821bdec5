import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Roster, type PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import { sha256 } from '../wire/digest.ts';
import { planOffer } from '../wire/offers.ts';
import { coordinator, identities, PLAN, roster, STUDIES } from '../runs/testing.ts';
import { faultOf, type OfferFault } from './offers.ts';

const STUDY = STUDIES[0]!;
const site = identities.get(STUDY)!;

const context = { study: STUDY, key: site.publicKey, planDigest: sha256(PLAN), rosterDigest: sha256(roster) };
const offer = planOffer(PLAN, Roster.decode(roster));
const withRoster = (over: Partial<Roster>): readonly [PlanOffer, typeof context] => {
  const changed = { ...Roster.decode(roster), ...over };
  return [
    { ...offer, roster: changed },
    { ...context, rosterDigest: sha256(Roster.encode(changed).finish()) },
  ];
};

test('an offer that is what its header says, with this site under its own key, can be accepted', () => {
  assert.equal(faultOf(offer, context), null);
});

const faults: readonly (readonly [OfferFault, PlanOffer, typeof context])[] = [
  ['plan-digest', { ...offer, plan: `${PLAN} ` }, context],
  ['no-roster', { ...offer, roster: undefined }, context],
  ['roster-digest', { ...offer, roster: { ...Roster.decode(roster), minimumStudies: 3 } }, context],
  ['masked-sums', ...withRoster({ masked: true })],
  ['not-in-roster', ...withRoster({ sites: [] })],
  ['not-in-roster', ...withRoster({ sites: [{ study: 'B', key: site.publicKey }] })],
  ['not-in-roster', ...withRoster({ sites: [{ study: STUDY, key: coordinator.publicKey }] })],
];
for (const [fault, changed, at] of faults) {
  test(`an offer is refused: ${fault} (${JSON.stringify(changed.roster?.sites.map(({ study }) => study))})`, () => {
    assert.equal(faultOf(changed, at), fault);
  });
}
