/** Overview, agreement, connection and log. */
import type { Refusal } from '@concordat/shared/disclosure/rules.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { hasBody, type EntryWithBody, type LogEntry } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';

import { isWaiting, type LeftMessage, type OfferedPlan, type WaitingRelease } from '../../desk.ts';
import { html, type Html, type Piece } from '@concordat/web/html.ts';
import type { AgentStatus } from '../status.ts';
import {
  count,
  digest,
  facts,
  fileText,
  list,
  moment,
  pager,
  prose,
  type PageContent,
} from '@concordat/web/layout.ts';
import { planLink } from './plans.ts';
import type { Role } from '@concordat/web/sessions.ts';
import { table } from '@concordat/web/table.ts';

const DAY = 86_400_000;

/** Of the agreement: its last day counts. */
function daysLeft(until: string, now: Date): number {
  return Math.max(0, Math.ceil((Date.parse(`${until}T00:00:00Z`) + DAY - now.getTime()) / DAY));
}

function remaining(until: string, now: Date): string {
  if (until === '') return 'no agreement is in force';
  const days = daysLeft(until, now);
  return days === 0 ? `expired: its last day was ${until}` : `${count(days, 'day')}, until ${until} (UTC)`;
}

function connection({ connected, since, coordinator, failure }: AgentStatus): Piece {
  const halted = failure?.code.startsWith('log/') === true;
  const words = connected ? 'connected to' : halted ? `halted (${failure.code}) for` : 'not connected to';
  return html`${words} ${coordinator}${since === null ? null : html` since ${moment(since)}`}`;
}

export function overviewPage(
  status: AgentStatus,
  plans: readonly OfferedPlan[],
  releases: readonly WaitingRelease[],
  latest: LeftMessage | undefined,
  now: Date,
): PageContent {
  const waiting = plans.filter(isWaiting);
  return {
    title: 'Overview',
    at: '/',
    body: html`<section>
        <h2>What waits for you</h2>
        ${waiting.length === 0 && releases.length === 0 ? html`<p>Nothing waits for you.</p>` : null}
        ${
          waiting.length === 0
            ? null
            : html`<p>${count(waiting.length, 'plan')} to approve or refuse:</p>
                ${list(waiting.map((plan) => html`${planLink(plan)}, received ${moment(plan.received)}`))}`
        }
        ${
          releases.length === 0
            ? null
            : html`<p><a href="/releases">${count(releases.length, 'answer')} to release or withhold</a></p>`
        }
      </section>
      <section>
        <h2>How things stand</h2>
        ${facts([
          ['Connection', connection(status)],
          ['Agreement', html`<a href="/agreement">${status.agreement.name}</a>`],
          ['Agreement holds for', remaining(status.agreement.until, now)],
          [
            'Last left',
            latest === undefined
              ? 'nothing yet'
              : html`<a href="/left/${latest.n}">${moment(latest.time)}</a>`,
          ],
          ['Log', count(status.log.size, 'entry', 'entries')],
        ])}
        ${agreementFaults(status)}
      </section>`,
  };
}

function agreementFaults({ agreement }: AgentStatus): Html | null {
  if (agreement.faults.length === 0) return null;
  return html`<div class="fault">
    <h3>The agreement needs attention</h3>
    ${list(agreement.faults.map(prose))}
  </div>`;
}

export function agreementPage(status: AgentStatus, now: Date): PageContent {
  const { agreement } = status;
  return {
    title: 'Agreement',
    at: '/agreement',
    body: html`${facts([
        ['Name', agreement.name],
        ['Holds for', remaining(agreement.until, now)],
        ...(agreement.digest === '' ? [] : [['File, SHA-256', digest(agreement.digest)] as const]),
      ])}
      ${agreementFaults(status)}
      <section>
        <h2>What it allows</h2>
        ${list(agreement.lines.map(prose))}
      </section>
      <section>
        <h2>The file</h2>
        <p>It is changed on the agent’s machine alone, never through this page.</p>
        ${fileText('agreement.yaml', agreement.text)}
      </section>`,
  };
}

export function connectionPage(status: AgentStatus, now: Date): PageContent {
  const { failure, certificateNotAfter, versions } = status;
  const left = Math.floor((Date.parse(certificateNotAfter) - now.getTime()) / DAY);
  return {
    title: 'Connection',
    at: '/connection',
    body: html`${facts([
        ['Status', connection(status)],
        [
          'Certificate holds until',
          html`${moment(certificateNotAfter)} (${left < 0 ? 'expired' : `${count(left, 'day')} left`})`,
        ],
        ...Object.entries(versions).map(([name, version]) => [`Version: ${name}`, version] as const),
      ])}
      <section>
        <h2>Last failure</h2>
        ${
          failure === null
            ? html`<p>None since the agent started.</p>`
            : facts([
                ['When', moment(failure.time)],
                ['What', html`<code>${failure.code}</code>`],
                ['What to do', prose(failure.remedy ?? 'see the documentation of errors')],
              ])
        }
      </section>
      <section>
        <h2>If it does not connect</h2>
        <p>
          On the agent’s machine, <code>concordat agent doctor</code> checks name resolution, proxy,
          certificates, clock, data, agreement and disk, and prints what to send to the IT department.
        </p>
      </section>`,
  };
}

/** Details are the site's own: counts behind refusals, custodians' notes. Auditors are not shown them. */
export function logPage(
  status: AgentStatus,
  { entries, body }: Pick<MessageLog, 'entries' | 'body'>,
  page: number,
  total: number,
  role: Role,
): PageContent {
  const detailed = role === 'custodian';
  return {
    title: 'Log',
    at: '/log',
    body: html`<p>
        Each line is a leaf of a Merkle tree. Whoever noted its size and root can later tell whether an entry
        was taken out or changed.
      </p>
      ${facts([
        ['Entries', status.log.size],
        ['Root', digest(status.log.root)],
      ])}
      ${table({
        id: 'entries',
        caption: 'Entries, newest first',
        columns: ['Entry', 'Time', 'Kind', 'Type', 'Analysis, round', ...(detailed ? ['Detail'] : [])],
        rows: entries.map((entry) => [
          `${entry.n}`,
          moment(entry.time),
          entry.kind,
          entry.type ?? null,
          entry.analysis === undefined || entry.analysis === ''
            ? null
            : `${entry.analysis}, ${entry.round ?? 0}`,
          ...(detailed ? [details(entry, body)] : []),
        ]),
      })}
      ${pager('/log', page, total)}`,
  };
}

/** None where they were erased. */
function refusalsIn(entry: EntryWithBody, body: MessageLog['body']): readonly Refusal[] {
  try {
    return JSON.parse(Buffer.from(body(entry)).toString('utf8')) as Refusal[];
  } catch (error) {
    if (error instanceof ConcordatError) return [];
    throw error;
  }
}

/** With what was observed, where a rule refused: the custodian may know. */
function details(entry: LogEntry, body: MessageLog['body']): string {
  const refusals = entry.type === 'refusals' && hasBody(entry) ? refusalsIn(entry, body) : [];
  return [
    ...Object.entries(entry.detail ?? {}).map(([name, value]) => `${name} ${value}`),
    ...refusals.map(({ rule, observed }) => `${rule}: ${observed} observed`),
  ].join(', ');
}
