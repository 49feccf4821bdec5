/** Plans that were offered: the list, one in full, and what stage one would send for it. */
import { OBJECTIONS, type ObjectionName, type OfferedPlan, type PreviewedRelease } from '../../desk.ts';
import type { AnalysisExplanation } from '../../../agreement/explain.ts';
import { html, type Html } from '../html.ts';
import { numbersIn, payloadReading } from '../tables.ts';
import {
  count,
  digest,
  facts,
  fileText,
  list,
  moment,
  prose,
  tokenField,
  type FormFault,
  type PageContent,
} from './layout.ts';
import { readingView, table } from './table.ts';

const OBJECTION_WORDS: Readonly<Record<ObjectionName, string>> = {
  purpose: 'the purpose',
  population: 'the population',
  variables: 'the variables',
  outcome: 'the outcome',
  method: 'the method',
  disclosure: 'what would leave',
  'data-not-ready': 'the records are not ready',
  other: 'another reason',
};

const STATUS_WORDS: Readonly<Record<OfferedPlan['status'], string>> = {
  waiting: 'waits for a custodian',
  approved: 'approved',
  refused: 'refused',
  closed: 'closed by the coordinator',
};

const GROUPS: readonly (readonly [OfferedPlan['status'], string, string])[] = [
  ['waiting', 'Waiting for a custodian', 'No plan waits.'],
  ['approved', 'Approved', 'No plan is approved.'],
  ['refused', 'Refused', 'No plan was refused.'],
  ['closed', 'Closed', 'No plan is closed.'],
];

export function planPath({ run, digest: plan }: Pick<OfferedPlan, 'run' | 'digest'>): string {
  return `/plans/${run}/${plan}`;
}

export function planLink(plan: OfferedPlan): Html {
  return html`<a href="${planPath(plan)}">${plan.explanation.title}</a>`;
}

export function plansPage(plans: readonly OfferedPlan[]): PageContent {
  return {
    title: 'Plans',
    at: '/plans',
    body: GROUPS.map(([status, heading, none]) => {
      const those = plans.filter((plan) => plan.status === status);
      return html`<section>
        <h2>${heading}</h2>
        ${
          those.length === 0
            ? html`<p>${none}</p>`
            : table({
                id: `plans-${status}`,
                caption: `${heading}: ${count(those.length, 'plan')}`,
                columns: ['Plan', 'Asked by', 'Received', 'Analyses', 'Decided by'],
                rows: those.map((plan) => [
                  planLink(plan),
                  plan.explanation.asker,
                  moment(plan.received),
                  plan.explanation.analyses.length,
                  decider(plan),
                ]),
              })
        }
      </section>`;
    }),
  };
}

function decider({ decidedBy }: OfferedPlan): string {
  switch (decidedBy) {
    case null:
      return 'nobody yet';
    case 'template':
    case 'matching-template':
      return 'a template of the agreement';
    case 'automatic':
      return 'the agent by itself';
    case 'agreement':
      return 'the agreement';
    default:
      return decidedBy;
  }
}

export function planPage(plan: OfferedPlan, token: string, fault: FormFault | null = null): PageContent {
  const { explanation: asked } = plan;
  return {
    title: asked.title,
    at: '/plans',
    fault,
    body: html`${facts([
        ['Status', html`<strong>${STATUS_WORDS[plan.status]}</strong>`],
        ...(plan.decidedBy === null ? [] : [['Decided by', decider(plan)] as const]),
        ['Asked by', asked.asker],
        ['Plan', asked.id],
        ['Registration', asked.registration ?? 'none named'],
        ['Received', moment(plan.received)],
        ['Outcome', prose(asked.outcome)],
        ['Population', prose(asked.population ?? 'everyone in the data')],
        [
          'Sites',
          html`${asked.sites.join(', ')}; nothing is published with fewer than ${asked.minimumSites}`,
        ],
        ['Plan file, SHA-256', digest(plan.digest)],
        ['Run', digest(plan.run)],
      ])}
      ${faults(asked.faults)}
      ${
        asked.differences.length === 0
          ? null
          : html`<section>
              <h2>Changed since the earlier plan of this name</h2>
              ${list(asked.differences.map(prose))}
            </section>`
      }
      <section>
        <h2>Variables</h2>
        ${table({
          id: 'variables',
          caption: `What is read of the records: ${count(asked.variables.length, 'variable')}`,
          columns: ['Variable', 'Used for'],
          rows: asked.variables.map(({ variable, uses }) => [variable, prose(uses.join(', '))]),
        })}
      </section>
      <section>
        <h2>Analyses, and what would leave</h2>
        ${
          asked.levels.length === 0
            ? null
            : html`<h3>Before the analyses</h3>
                ${list(asked.levels.map(prose))}`
        }
        ${asked.analyses.map(analysisView)}
      </section>
      <section>
        <h2>See the numbers first</h2>
        <p>
          The analyses are computed now, from the records, and shown here alone. Nothing is sent. With many
          records it takes a minute.
        </p>
        <form method="get" action="${planPath(plan)}/preview">
          <button class="plain">Preview what would leave</button>
        </form>
      </section>
      ${decisionForms(plan, token)}
      <section>
        <h2>The plan file</h2>
        <p>The file as it was offered. Your decision is about exactly these bytes.</p>
        ${fileText('The plan file', plan.text)}
      </section>`,
  };
}

function faults(found: readonly string[]): Html | null {
  if (found.length === 0) return null;
  return html`<section class="fault">
    <h2>The agreement does not allow this plan</h2>
    ${list(found.map(prose))}
  </section>`;
}

function analysisView({ id, model, terms, leaves }: AnalysisExplanation): Html {
  return html`<article>
    <h3>${id}</h3>
    <p>${prose(model)}</p>
    <p>Terms: ${terms.length === 0 ? 'none' : terms.join(', ')}</p>
    <p>What would leave:</p>
    ${list(leaves.map(prose))}
  </article>`;
}

/** An approval may be taken back while the run is open: a refusal after it. */
function decisionForms(plan: OfferedPlan, token: string): Html | null {
  if (plan.status !== 'waiting' && plan.status !== 'approved') return null;
  return html`<section class="decision">
    <h2>${plan.status === 'waiting' ? 'Your decision' : 'Taking the approval back'}</h2>
    <p>
      What you decide is signed with your key, written into this site’s log and bound to the plan file below.
      A note stays at this
      site.${plan.status === 'waiting' ? null : ' What has left already cannot be called back.'}
    </p>
    <div class="forms">
      ${plan.status === 'waiting' ? approveForm(plan, token) : null} ${refuseForm(plan, token)}
    </div>
  </section>`;
}

function approveForm(plan: OfferedPlan, token: string): Html {
  if (plan.explanation.faults.length > 0) {
    return html`<div>
      <h3>Approve</h3>
      <p>It cannot be approved while the agreement does not allow it.</p>
    </div>`;
  }
  return html`<form method="post" action="${planPath(plan)}/approve">
    <h3>Approve</h3>
    ${tokenField(token)}
    <p class="check">
      <input type="checkbox" id="read" name="read" value="yes" required />
      <label for="read">I have read what would leave, and approve this plan.</label>
    </p>
    ${noteField('approve-note')}
    <button>Approve this plan</button>
  </form>`;
}

function refuseForm(plan: OfferedPlan, token: string): Html {
  return html`<form method="post" action="${planPath(plan)}/refuse">
    <h3>Refuse</h3>
    ${tokenField(token)}
    <p>
      <label for="objection">What you object to (the coordinator is told)</label>
      <select id="objection" name="objection" required>
        <option value="">Choose a reason</option>
        ${OBJECTIONS.map((name) => html`<option value="${name}">${OBJECTION_WORDS[name]}</option>`)}
      </select>
    </p>
    ${noteField('refuse-note')}
    <button>Refuse this plan</button>
  </form>`;
}

export function noteField(id: string): Html {
  return html`<p>
    <label for="${id}">Note (optional; stays here)</label
    ><textarea id="${id}" name="note" rows="3" maxlength="2000"></textarea>
  </p>`;
}

export function previewPage(plan: OfferedPlan, previews: readonly PreviewedRelease[]): PageContent {
  return {
    title: `Preview: ${plan.explanation.title}`,
    at: '/plans',
    body: html`<p><a href="${planPath(plan)}">Back to the plan</a></p>
      <p>
        Computed now from the records, as stage one would answer. <strong>Nothing of it was sent.</strong>
      </p>
      ${previews.length === 0 ? html`<p>The plan asks nothing of stage one.</p>` : null}
      ${previews.map(({ analysis, terms, payload, remarks }, i) => {
        const reading = payloadReading(payload, terms);
        return html`<section>
          <h2>${analysis === '' ? 'The whole plan' : analysis}: ${reading.title}</h2>
          <p>${count(numbersIn(reading), 'number')} would leave.</p>
          ${
            remarks.length === 0
              ? null
              : html`<div class="remarks">
                  <h3>For you alone</h3>
                  ${list(remarks.map(prose))}
                </div>`
          }
          ${readingView(reading, `preview-${i}`)}
        </section>`;
      })}`,
  };
}
