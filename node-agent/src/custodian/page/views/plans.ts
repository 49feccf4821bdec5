/** Plans that were offered: the list, one in full, and what stage one would send for it. */
import { OBJECTIONS, type ObjectionName } from '@concordat/shared/agreement/statements.ts';
import { isApprovable, isRefusable, isWaiting, type OfferedPlan, type PreviewedRelease } from '../../desk.ts';
import type { AnalysisExplanation } from '../../../agreement/explain.ts';
import { html, type Html } from '@concordat/web/html.ts';
import { payloadReading } from '@concordat/audit/answers.ts';
import { numbersIn } from '@concordat/audit/tables.ts';
import {
  count,
  digest,
  facts,
  fileText,
  list,
  moment,
  prose,
  hiddenField,
  tokenField,
  type FormFault,
  type PageContent,
} from '@concordat/web/layout.ts';
import { table } from '@concordat/web/table.ts';
import { readingView } from '@concordat/audit/page/reading-view.ts';

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

const GROUPS: readonly (readonly [(plan: OfferedPlan) => boolean, string, string])[] = [
  [isWaiting, 'Waiting for a custodian', 'No plan waits.'],
  [({ decision }) => decision === 'approved', 'Approved', 'No plan is approved.'],
  [({ decision }) => decision === 'refused', 'Refused', 'No plan was refused.'],
  [
    ({ decision, open }) => decision === null && !open,
    'Closed before it was decided',
    'No plan was closed so.',
  ],
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
    body: GROUPS.map(([belongs, heading, none], i) => {
      const those = plans.filter(belongs);
      return html`<section>
        <h2>${heading}</h2>
        ${
          those.length === 0
            ? html`<p>${none}</p>`
            : table({
                id: `plans-${i}`,
                caption: `${heading}: ${count(those.length, 'plan')}`,
                columns: ['Plan', 'Asked by', 'Received', 'Analyses', 'Decided by', 'Run'],
                rows: those.map((plan) => [
                  planLink(plan),
                  plan.explanation.asker,
                  moment(plan.received),
                  plan.explanation.analyses.length,
                  decider(plan),
                  plan.open ? 'open' : 'closed',
                ]),
              })
        }
      </section>`;
    }),
  };
}

const standing = (plan: OfferedPlan): string =>
  isWaiting(plan) ? 'waits for a custodian' : (plan.decision ?? 'not decided');

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

/** `records`: seal of the records as they are now. */
export function planPage(
  plan: OfferedPlan,
  records: string,
  token: string,
  fault: FormFault | null = null,
): PageContent {
  const { explanation: asked } = plan;
  return {
    title: asked.title,
    at: '/plans',
    fault,
    body: html`${facts([
        ['Status', html`<strong>${standing(plan)}</strong>`],
        ['Its run', plan.open ? 'open' : 'closed, or goes on without this site'],
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
        ['Under the agreement', plan.agreement.name],
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
      ${decisionForms(plan, records, token)}
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

/** The last word counts: an approval is taken back by a refusal after it, and replaces one before it. */
function decisionForms(plan: OfferedPlan, records: string, token: string): Html | null {
  const [approvable, refusable] = [isApprovable(plan), isRefusable(plan)];
  if (!approvable && !refusable) return null;
  return html`<section class="decision">
    <h2>
      ${isWaiting(plan) ? 'Your decision' : refusable ? 'Taking the approval back' : 'Approving after all'}
    </h2>
    <p>
      What you decide is signed with your key, written into this site’s log and bound to the plan file below,
      an approval also to the sites above, the agreement and the records as they are now. A note stays at this
      site.${
        isWaiting(plan)
          ? null
          : refusable
            ? ' What has left already cannot be called back.'
            : ' It replaces the refusal; a run that went on without this site stays without it.'
      }
    </p>
    <div class="forms">
      ${approvable ? approveForm(plan, records, token) : null} ${refusable ? refuseForm(plan, token) : null}
    </div>
  </section>`;
}

function approveForm(plan: OfferedPlan, records: string, token: string): Html {
  if (plan.explanation.faults.length > 0) {
    return html`<div>
      <h3>Approve</h3>
      <p>It cannot be approved while the agreement does not allow it.</p>
    </div>`;
  }
  return html`<form method="post" action="${planPath(plan)}/approve">
    <h3>Approve</h3>
    ${tokenField(token)} ${hiddenField('offer', plan.offer)}
    ${hiddenField('agreement', plan.agreement.digest)} ${hiddenField('data', records)}
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
