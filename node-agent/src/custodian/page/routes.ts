/** The pages of a custodian who is signed in, and their decisions. */
import type { FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';

import { OBJECTIONS, type ObjectionName } from '@concordat/shared/agreement/statements.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { faultOf, sessionOf, type Page } from '@concordat/web/context.ts';
import { PAGE_LENGTH, type FormFault, type PageContent } from '@concordat/web/layout.ts';
import { isToken, tokenOf, type Session } from '@concordat/web/sessions.ts';

import type {
  CustodianDesk,
  Decision,
  LeftMessage,
  OfferedPlan,
  PreviewedRelease,
  WaitingRelease,
} from '../desk.ts';
import type { CustodianPageParts } from './context.ts';
import { LEFT_LENGTH, leftPage, messagePage, releasesPage } from './views/messages.ts';
import { planPage, planPath, plansPage, previewPage } from './views/plans.ts';
import { agreementPage, connectionPage, logPage, overviewPage } from './views/state.ts';

const LONGEST_NOTE = 2000;

type Body = Readonly<Record<string, unknown>>;
type View = (session: Session, request: FastifyRequest) => PageContent | null | Promise<PageContent | null>;

const NOT_READ: FormFault = {
  message: 'The box was not ticked that says that you have read what would leave.',
  remedy: 'read it, tick the box, and send the form again',
};
const NOT_ALLOWED: FormFault = {
  message: 'The agreement does not allow this plan.',
  remedy: 'refuse it; what the agreement allows is changed in its file, on the agent’s machine',
};
const NO_OBJECTION: FormFault = {
  message: 'No reason was chosen.',
  remedy: 'choose what you object to, and send the form again',
};
const STALE: FormFault = {
  message: 'The form does not belong to this session.',
  remedy: 'send it once more from this page',
};
const TOO_LONG: FormFault = {
  message: `The note is longer than ${LONGEST_NOTE} characters.`,
  remedy: 'shorten it',
};

const NOT_YET = 'not yet';
const SIGNED = 'Signed; the agent is busy and takes it as soon as it can';

const notTaken = (fault: string): FormFault => ({
  message: `The agent did not take the statement: ${fault}.`,
  remedy: 'look at how things stand, and decide again on what is there now',
});

export function addRoutes({ app, show }: Page, parts: CustodianPageParts): void {
  const { desk, status, now, log, taken } = parts;
  const previews = new Map<string, Promise<readonly PreviewedRelease[]>>();

  const view = (path: string, make: View, options: RouteShorthandOptions = {}): void => {
    app.get(path, options, async (request, reply) => {
      const content = await make(sessionOf(request), request);
      if (content === null) return reply.callNotFound();
      return show(request, reply, content);
    });
  };

  view('/', () => overviewPage(status(), desk.plans(), desk.releases(), desk.left(0, 1).messages[0], now()));
  view('/plans', () => plansPage(desk.plans()));
  view('/plans/:run/:plan', async (session, request) => {
    const plan = planOf(desk, request);
    return plan === undefined ? null : planPage(plan, await desk.records(), tokenOf(session.csrf));
  });
  view('/plans/:run/:plan/preview', async (_session, request) => {
    const plan = planOf(desk, request);
    if (plan === undefined) return null;
    // Asked again while it computes, the same computation answers.
    const running = previews.get(plan.digest) ?? desk.preview(plan.digest);
    previews.set(plan.digest, running);
    try {
      return previewPage(plan, await running);
    } finally {
      previews.delete(plan.digest);
    }
  });
  view('/releases', (session) => releasesPage(desk.releases(), desk.plans(), tokenOf(session.csrf)));
  view('/left', (_session, request) => {
    const page = pageOf(request);
    const { messages, total } = desk.left((page - 1) * LEFT_LENGTH, LEFT_LENGTH);
    return messages.length === 0 && page > 1 ? null : leftPage(messages, desk.plans(), page, total);
  });
  view('/left/:n', (_session, request) => {
    const message = leftMessage(desk, Number(parameter(request, 'n')));
    return message === null ? null : messagePage(message, desk.plans());
  });
  view('/agreement', () => agreementPage(status(), now()));
  view('/connection', () => connectionPage(status(), now()));
  view(
    '/log',
    ({ role }, request) => {
      const page = pageOf(request);
      const all = log.entries;
      const total = all.length;
      const end = total - (page - 1) * PAGE_LENGTH;
      if (end <= 0 && page > 1) return null;
      const entries = all.slice(Math.max(0, end - PAGE_LENGTH), Math.max(0, end)).toReversed();
      return logPage(status(), { entries, body: (entry) => log.body(entry) }, page, total, role);
    },
    { config: { access: 'auditors' } },
  );

  /**
   * A form about something that waits: `again` shows it with what was wrong. The decision is taken once the session, its
   * token and the fields are right, and the answer is a redirect, so that going back or reloading repeats nothing.
   */
  const form = <T>(
    path: string,
    find: (request: FastifyRequest) => T | undefined,
    again: (found: T, session: Session, fault: FormFault) => Promise<PageContent>,
    decisionOf: (found: T, body: Body) => Decision | FormFault,
    done: {
      readonly notice: string;
      readonly path: (found: T) => string;
      /** What is to be told where nothing is left to be signed. */
      readonly already?: (found: T) => Promise<string | null>;
    },
  ): void => {
    app.post(path, async (request, reply) => {
      const session = sessionOf(request);
      const found = find(request);
      if (found === undefined) return reply.callNotFound();
      const body = (request.body ?? {}) as Body;
      const refuse = async (fault: FormFault, code: number): Promise<FastifyReply> =>
        show(request, reply, await again(found, session, fault), code);
      if (!isToken(session.csrf, body['token'])) return refuse(STALE, 403);
      const decision = decisionOf(found, body);
      if ('message' in decision) return refuse(decision, 422);
      let fault: string | null = null;
      let already: string | null;
      try {
        already = (await done.already?.(found)) ?? null;
        if (already === null) fault = await taken(await desk.decide(decision, session.key));
      } catch (error) {
        if (!(error instanceof ConcordatError)) throw error;
        return refuse(faultOf(error), 409);
      }
      if (fault !== null && fault !== NOT_YET) return refuse(notTaken(fault), 409);
      session.notice = fault === null ? (already ?? done.notice) : SIGNED;
      return reply.redirect(done.path(found), 303);
    });
  };

  const againPlan = async (plan: OfferedPlan, session: Session, fault: FormFault): Promise<PageContent> =>
    planPage(plan, await desk.records(), tokenOf(session.csrf), fault);
  form(
    '/plans/:run/:plan/approve',
    (request) => planOf(desk, request),
    againPlan,
    ({ run, digest: plan, explanation }, body) => {
      if (explanation.faults.length > 0) return NOT_ALLOWED;
      if (body['read'] !== 'yes') return NOT_READ;
      const shown = {
        offer: text(body, 'offer'),
        agreement: text(body, 'agreement'),
        data: text(body, 'data'),
      };
      return noted(body, (note) => ({ kind: 'approve', plan, run, shown, note }));
    },
    {
      notice: 'Approved',
      path: planPath,
      already: async (plan) => {
        const standing = await desk.standingApproval(plan);
        return standing === null
          ? null
          : `${standing.custodian} approved this plan on the same terms before; nothing more was signed`;
      },
    },
  );
  form(
    '/plans/:run/:plan/refuse',
    (request) => planOf(desk, request),
    againPlan,
    ({ run, digest: plan }, body) => {
      const objection = OBJECTIONS.find((name: ObjectionName) => name === body['objection']);
      if (objection === undefined) return NO_OBJECTION;
      return noted(body, (note) => ({ kind: 'refuse', plan, run, objection, note }));
    },
    { notice: 'Refused', path: planPath },
  );

  const againRelease = async (
    _release: WaitingRelease,
    session: Session,
    fault: FormFault,
  ): Promise<PageContent> => releasesPage(desk.releases(), desk.plans(), tokenOf(session.csrf), fault);
  const releaseOf = (request: FastifyRequest): WaitingRelease | undefined =>
    desk.releases().find(({ task }) => task === parameter(request, 'task'));
  form(
    '/releases/:task/release',
    releaseOf,
    againRelease,
    ({ task }, body) => {
      if (body['read'] !== 'yes') return NOT_READ;
      return noted(body, (note) => ({ kind: 'release', task, payload: text(body, 'payload'), note }));
    },
    { notice: 'Released', path: () => '/releases' },
  );
  form(
    '/releases/:task/withhold',
    releaseOf,
    againRelease,
    ({ task }, body) =>
      noted(body, (note) => ({ kind: 'withhold', task, payload: text(body, 'payload'), note })),
    { notice: 'Withheld', path: () => '/releases' },
  );
}

function noted(body: Body, make: (note: string) => Decision): Decision | FormFault {
  const note = text(body, 'note').trim();
  return note.length > LONGEST_NOTE ? TOO_LONG : make(note);
}

function text(body: Body, name: string): string {
  const value = body[name];
  return typeof value === 'string' ? value : '';
}

function parameter(request: FastifyRequest, name: string): string {
  return (request.params as Readonly<Record<string, string>>)[name] ?? '';
}

function planOf(desk: CustodianDesk, request: FastifyRequest): OfferedPlan | undefined {
  return desk.plan(parameter(request, 'run'), parameter(request, 'plan')) ?? undefined;
}

function pageOf(request: FastifyRequest): number {
  const page = Number((request.query as Readonly<Record<string, unknown>>)['page'] ?? 1);
  return Number.isInteger(page) && page >= 1 && page <= 1_000_000 ? page : 1;
}

/** By bisection: messages are newest first, and each that is looked at is read from the disk. */
function leftMessage(desk: CustodianDesk, n: number): LeftMessage | null {
  let low = 0;
  let high = desk.left(0, 0).total;
  while (low < high) {
    const middle = (low + high) >> 1;
    const message = desk.left(middle, 1).messages[0];
    if (message === undefined) return null;
    if (message.n === n) return message;
    if (message.n > n) low = middle + 1;
    else high = middle;
  }
  return null;
}
