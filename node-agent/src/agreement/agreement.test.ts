import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Roster, type PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import { sha256 } from '@concordat/shared/wire/digest.ts';
import { planOffer } from '@concordat/shared/wire/offers.ts';
import { coordinator, PLAN, roster, site, STUDY } from '../testing.ts';
import { faultOf, type OfferFault } from './agreement.ts';

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
  ['roster-digest', { ...offer, roster: { ...Roster.decode(roster), minimumStudies: 2 } }, context],
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
