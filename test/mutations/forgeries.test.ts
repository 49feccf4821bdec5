/**
 * One side rewrites its own log and signs it again, without a fault of its own; or the coordinator tells two sites two histories. Each is
 * found, and the first finding says what was done, and to which log.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FindingKind } from '@concordat/audit/finding.ts';
import { originOf } from '@concordat/audit/keys.ts';
import type { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';
import { audited, told } from '../audit/logs.ts';
import { BINARY_PLAN } from '../end-to-end/trials.ts';
import { forge, itemsOf, question, reply, type Item } from '../audit/forge.ts';
import { play } from './played.ts';

const HOURS = 3_600_000;
const run = await play(BINARY_PLAN);
const items = Object.fromEntries(Object.entries(run.logs).map(([party, folder]) => [party, itemsOf(folder)]));

interface Forgery {
  readonly what: string;
  /** Whose log. */
  readonly by: string;
  readonly change: (items: readonly Item[]) => readonly Item[];
  /** Right names for it. */
  readonly kinds: readonly FindingKind[];
}

/** Places of the items of a kind and type. */
const placesOf = (all: readonly Item[], kind: string, type: string): readonly number[] =>
  all.flatMap(({ entry }, n) => (entry.kind === kind && entry.type === type ? [n] : []));
const placeOf = (all: readonly Item[], kind: string, type: string): number => placesOf(all, kind, type)[0]!;
const without = (all: readonly Item[], ...places: readonly number[]): readonly Item[] =>
  all.filter((_, n) => !places.includes(n));
const later = (time: string, by: number): string => new Date(Date.parse(time) + by).toISOString();
const withText = (item: Item, change: (text: string) => string): Item => ({
  ...item,
  body: Buffer.from(change(Buffer.from(item.body!).toString('utf8'))),
});

/** An answer, or a question, that is another one, signed by whom it says. */
const answered = (item: Item, by: SigningIdentity, change: (message: SiteMessage) => void): Item => ({
  ...item,
  body: reply(item.body!, by, change),
});
const asked = (item: Item, by: SigningIdentity, change: (message: CoordinatorMessage) => void): Item => {
  const body = question(item.body!, by, change);
  return { ...item, entry: { ...item.entry, task: toHex(sha256(SignedMessage.decode(body).body)) }, body };
};

const B = run.identity('B');
const C = run.identity('coordinator');

/** Another agreement from the first day on, with everything that names it. */
const agreed = (all: readonly Item[], change: (text: string) => string): readonly Item[] => {
  const n = all.findIndex(({ entry }) => entry.type === 'agreement');
  const item = withText(all[n]!, change);
  const [before, after] = [toHex(sha256(all[n]!.body!)), toHex(sha256(item.body!))];
  const renamed = (logged: Item): Item => ({
    ...logged,
    entry: JSON.parse(JSON.stringify(logged.entry).replaceAll(before, after)) as Item['entry'],
  });
  return all.toSpliced(n, 1, item).map(renamed);
};

const FORGERIES: readonly Forgery[] = [
  {
    what: 'an estimate that it sent is left out',
    by: 'B',
    change: (all) => without(all, placeOf(all, 'sent', 'stageOneEstimate')),
    kinds: ['omission'],
  },
  {
    what: 'a question and its answer are left out',
    by: 'B',
    change: (all) => {
      const { task } = all[placesOf(all, 'received', 'objectiveQuestion')[1]!]!.entry;
      return all.filter(({ entry }) => entry.task !== task);
    },
    kinds: ['omission'],
  },
  {
    what: 'an estimate that it sent is another',
    by: 'B',
    change: (all) => {
      const n = placeOf(all, 'sent', 'stageOneEstimate');
      const other = answered(all[n]!, B, (message) => {
        if (message.payload?.$case === 'stageOneEstimate') message.payload.value.estimates[0]! += 0.25;
      });
      return all.toSpliced(n, 1, other);
    },
    kinds: ['mutation'],
  },
  {
    what: 'an answer that it never sent is put in',
    by: 'B',
    change: (all) => {
      const n = placeOf(all, 'sent', 'objectiveValue');
      return all.toSpliced(n, 0, all[n]!);
    },
    kinds: ['insertion'],
  },
  {
    what: 'two answers are exchanged',
    by: 'B',
    change: (all) => {
      const [first, second] = placesOf(all, 'sent', 'objectiveValue') as [number, number];
      return all.with(first, all[second]!).with(second, all[first]!);
    },
    kinds: ['reorder'],
  },
  {
    what: 'all of it is dated two hours back',
    by: 'B',
    change: (all) =>
      all.map((item) => ({ ...item, entry: { ...item.entry, time: later(item.entry.time, -2 * HOURS) } })),
    kinds: ['backdating'],
  },
  {
    what: 'the question to an answer is left out',
    by: 'B',
    change: (all) => without(all, placesOf(all, 'received', 'objectiveQuestion')[2]!),
    kinds: ['omission'],
  },
  {
    what: 'its approval is left out',
    by: 'B',
    change: (all) => all.filter(({ entry }) => entry.kind !== 'approved'),
    kinds: ['omission', 'approval'],
  },
  {
    what: 'its agreement asks for more participants than it has',
    by: 'B',
    change: (all) => agreed(all, (text) => text.replace('minimum: 20', 'minimum: 1000')),
    kinds: ['policy', 'approval'],
  },
  {
    what: 'its agreement had ended',
    by: 'B',
    change: (all) => agreed(all, (text) => text.replace('9999-12-31', '2025-12-31')),
    kinds: ['expired'],
  },
  {
    what: 'its agreement does not name the outcome',
    by: 'B',
    change: (all) => agreed(all, (text) => text.replace('outcomes: all', 'outcomes: [other]')),
    kinds: ['approval'],
  },
  {
    what: 'its template is another plan',
    by: 'B',
    change: (all) =>
      all.map((item) =>
        item.entry.type === 'template'
          ? withText(item, (text) => text.replace('id:', 'title: another\nid:'))
          : item,
      ),
    kinds: ['approval', 'mutation'],
  },
  {
    what: 'the plan that it was offered is another',
    by: 'B',
    change: (all) => {
      const n = placeOf(all, 'received', 'planOffer');
      const other = asked(all[n]!, B, (message) => {
        if (message.payload?.$case === 'planOffer')
          message.payload.value.plan = message.payload.value.plan.replace('id:', 'title: another\nid:');
      });
      return all.toSpliced(n, 1, other);
    },
    kinds: ['signature'],
  },
  {
    what: 'its last entries are left out',
    by: 'B',
    change: (all) => all.slice(0, -6),
    kinds: ['truncation', 'omission'],
  },
  {
    what: 'its first answer under the plan comes before the approval',
    by: 'B',
    change: (all) => {
      const n = all.findIndex(({ entry }) => entry.kind === 'approved');
      return [...without(all, n), all[n]!];
    },
    kinds: ['omission', 'approval', 'reorder'],
  },
  {
    what: 'an estimate that it received is left out',
    by: 'coordinator',
    change: (all) => without(all, placeOf(all, 'received', 'stageOneEstimate')),
    kinds: ['omission'],
  },
  {
    what: 'an estimate that it received is another, under its own signature',
    by: 'coordinator',
    change: (all) => {
      const n = placeOf(all, 'received', 'stageOneEstimate');
      const other = answered(all[n]!, C, (message) => {
        if (message.payload?.$case === 'stageOneEstimate') message.payload.value.estimates[0]! += 0.25;
      });
      return all.toSpliced(n, 1, other);
    },
    kinds: ['signature', 'mutation'],
  },
  {
    what: 'a question that it asked is another',
    by: 'coordinator',
    change: (all) => {
      const n = placesOf(all, 'sent', 'objectiveQuestion')[4]!;
      const other = asked(all[n]!, C, (message) => {
        if (message.payload?.$case === 'objectiveQuestion') message.payload.value.theta[0]! += 0.5;
      });
      return all.toSpliced(n, 1, other);
    },
    kinds: ['omission', 'mutation', 'question'],
  },
  {
    what: 'a question that it asked is left out',
    by: 'coordinator',
    change: (all) => without(all, placesOf(all, 'sent', 'objectiveQuestion')[4]!),
    kinds: ['omission'],
  },
  {
    what: 'a question and its answer are left out',
    by: 'coordinator',
    change: (all) => {
      const { task } = all[placesOf(all, 'sent', 'objectiveQuestion')[4]!]!.entry;
      return all.filter(({ entry }) => entry.task !== task);
    },
    kinds: ['omission'],
  },
  {
    what: 'two answers are exchanged',
    by: 'coordinator',
    change: (all) => {
      const first = placeOf(all, 'received', 'objectiveValue');
      const far = placesOf(all, 'received', 'objectiveValue').at(-1)!;
      return all.with(first, all[far]!).with(far, all[first]!);
    },
    kinds: ['reorder'],
  },
  {
    what: 'all of it is dated two hours ahead',
    by: 'coordinator',
    change: (all) =>
      all.map((item) => ({ ...item, entry: { ...item.entry, time: later(item.entry.time, 2 * HOURS) } })),
    kinds: ['backdating'],
  },
  {
    what: 'its last entries are left out',
    by: 'coordinator',
    change: (all) => all.slice(0, -12),
    kinds: ['truncation', 'omission'],
  },
];

for (const { what, by, change, kinds } of FORGERIES)
  test(`${by}: ${what}`, () => {
    const forged = forge(by, change(items[by]!), run.identity(by));
    const verdict = audited({ ...run.logs, [by]: forged }, { keys: run.keys });
    const [first] = verdict.findings;
    assert.ok(first !== undefined, 'nothing was found');
    assert.ok(kinds.includes(first.kind), told(verdict).slice(0, 4).join('\n'));
    const where = `${first.place.log} ${first.place.study} ${first.message}`;
    assert.ok(where.includes(originOf(by)) || where.includes(` ${by}`), told(verdict).slice(0, 4).join('\n'));
  });

test('the coordinator tells two sites two histories', () => {
  const forged = items['B']!.map((item) => {
    if (item.entry.kind !== 'received') return item;
    return asked(item, C, (message) => {
      const { checkpoint } = message.header!;
      if (checkpoint !== undefined && checkpoint.size > 20) checkpoint.root = sha256('another history');
    });
  });
  const other = forge('B', forged, B);
  for (const logs of [
    { A: run.logs['A']!, B: other },
    { ...run.logs, B: other },
  ]) {
    const verdict = audited(logs, { keys: run.keys });
    assert.ok(
      verdict.findings.some(({ kind }) => kind === 'fork'),
      told(verdict).slice(0, 6).join('\n'),
    );
  }
});
