/** Answers that wait for release, and everything that left. */
import type { LeftMessage, OfferedPlan, WaitingRelease } from '../../desk.ts';
import { html, type Html } from '@concordat/web/html.ts';
import { payloadReading } from '@concordat/audit/answers.ts';
import { headerTable, numbersIn } from '@concordat/audit/tables.ts';
import {
  count,
  digest,
  facts,
  moment,
  pager,
  hiddenField,
  tokenField,
  type FormFault,
  type PageContent,
} from '@concordat/web/layout.ts';
import { noteField, planLink } from './plans.ts';
import { payloadTableView, readingView } from '@concordat/audit/page/reading-view.ts';

function planOf(plans: readonly OfferedPlan[], run: string): OfferedPlan | undefined {
  return plans.find((plan) => plan.run === run);
}

function place(analysis: string, round: number): string {
  return `${analysis === '' ? 'The whole plan' : analysis}, round ${round}`;
}

export function releasesPage(
  releases: readonly WaitingRelease[],
  plans: readonly OfferedPlan[],
  token: string,
  fault: FormFault | null = null,
): PageContent {
  return {
    title: 'Releases',
    at: '/releases',
    fault,
    body: html`<p>
        Where the agreement says <code>approval: each-release</code>, every answer waits here until a
        custodian has seen exactly what would leave.
      </p>
      ${releases.length === 0 ? html`<p>No answer waits.</p>` : null}
      ${releases.map((release, i) => {
        const plan = planOf(plans, release.run);
        const reading = payloadReading(release.payload, release.terms);
        return html`<section>
          <h2>${place(release.analysis, release.round)}: ${reading.title}</h2>
          ${facts([
            ['Plan', plan === undefined ? digest(release.planDigest) : planLink(plan)],
            ['Asked', release.asked],
            ['Numbers in it', numbersIn(reading)],
            ['Question, SHA-256', digest(release.task)],
          ])}
          ${readingView(reading, `release-${i}`)} ${releaseForms(release, token)}
        </section>`;
      })}`,
  };
}

function releaseForms({ task, held }: WaitingRelease, token: string): Html {
  return html`<div class="forms decision">
    <form method="post" action="/releases/${task}/release">
      <h3>Release</h3>
      ${tokenField(token)} ${hiddenField('payload', held)}
      <p class="check">
        <input type="checkbox" id="read-${task}" name="read" value="yes" required />
        <label for="read-${task}">I have read these numbers, and they may leave.</label>
      </p>
      ${noteField(`release-note-${task}`)}
      <button>Release this answer</button>
    </form>
    <form method="post" action="/releases/${task}/withhold">
      <h3>Withhold</h3>
      ${tokenField(token)} ${hiddenField('payload', held)} ${noteField(`note-${task}`)}
      <button>Withhold this answer</button>
    </form>
  </div>`;
}

/** Messages on one part of the list: each may have hundreds of numbers. */
export const LEFT_LENGTH = 10;

export function leftPage(
  messages: readonly LeftMessage[],
  plans: readonly OfferedPlan[],
  page: number,
  total: number,
): PageContent {
  return {
    title: 'What left',
    at: '/left',
    body: html`<p>Everything that ever left this site, newest first: ${count(total, 'message')}.</p>
      ${messages.map((message) => {
        const plan = planOf(plans, message.run);
        const reading = payloadReading(message.payload, message.terms);
        return html`<article>
          <h2>${place(message.analysis, message.round)}: ${reading.title}</h2>
          <p>
            ${plan === undefined ? 'An unknown plan' : planLink(plan)}; ${moment(message.time)};
            ${count(numbersIn(reading), 'number')}.
            <a href="/left/${message.n}">Message ${message.n} in full</a>
          </p>
          <details>
            <summary>Show what message ${message.n} says</summary>
            ${readingView(reading, `left-${message.n}`)}
          </details>
        </article>`;
      })}
      ${pager('/left', page, total, LEFT_LENGTH)}`,
  };
}

export function messagePage(message: LeftMessage, plans: readonly OfferedPlan[]): PageContent {
  const plan = planOf(plans, message.run);
  const reading = payloadReading(message.payload, message.terms);
  const envelope = headerTable(message.header);
  return {
    title: `Message ${message.n}: ${reading.title}`,
    at: '/left',
    body: html`<p><a href="/left">Back to what left</a></p>
      ${facts([
        ['Plan', plan === undefined ? 'unknown' : planLink(plan)],
        ['Left', moment(message.time)],
        ['Type', message.type],
        ['Entry of the log', message.n],
        ['Numbers in it', numbersIn(reading)],
      ])}
      ${readingView(reading, 'message')} ${payloadTableView(envelope, 'envelope')}`,
  };
}
