/** One lie each in the log of an honest federation, by the log's own owner: found, named and located. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { parse, stringify } from 'yaml';
import type { FindingKind } from '@concordat/audit/finding.ts';
import { originOf } from '@concordat/audit/keys.ts';
import type { Verdict } from '@concordat/audit/verify.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { signStatement } from '@concordat/shared/agreement/statements.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { generateSigningKey, signBytes, signingIdentity } from '@concordat/shared/wire/signing.ts';

import { InProcess } from '../end-to-end/in-process.ts';
import { BINARY_PLAN, writeOneStageTrials } from '../end-to-end/trials.ts';
import { forge, itemsOf, question, reply, type Item } from './forge.ts';
import { audited, told } from './logs.ts';

const STUDIES = ['A', 'B', 'C'];
const federation = new InProcess({ plan: BINARY_PLAN, data: writeOneStageTrials(STUDIES) });
const site = federation.identity('A');
const coordinator = federation.identity('coordinator');
const honest = (): Record<string, string> =>
  Object.fromEntries(['coordinator', ...STUDIES].map((party) => [party, federation.log(party)]));
before(async () => void (await federation.play()));

type Edit = (items: Item[]) => Item[];

const at = (items: readonly Item[], kind: string, type?: string): number => {
  const found = items.findIndex(
    ({ entry }) => entry.kind === kind && (type === undefined || entry.type === type),
  );
  assert.ok(found >= 0, `${kind} ${type}`);
  return found;
};
const without = (items: Item[], i: number): Item[] => items.toSpliced(i, 1);
const replaced = (items: Item[], i: number, body: Uint8Array): Item[] =>
  items.with(i, { ...items[i]!, body });

/** The log of A forged, alone or beside the others. */
function lie(edit: Edit, remake: boolean, beside: boolean): Verdict {
  const folder = forge('A', edit(itemsOf(federation.log('A'))), site, { remake });
  return audited(beside ? { ...honest(), A: folder } : { A: folder });
}

function assertFound(verdict: Verdict, kind: FindingKind, words: RegExp): void {
  assert.ok(
    verdict.findings.some((finding) => finding.kind === kind && words.test(finding.message)),
    told(verdict).join('\n') || 'nothing was found',
  );
}

const agreed =
  (change: (agreement: Record<string, unknown>) => void): Edit =>
  (items) => {
    const i = at(items, 'decision', 'agreement');
    const agreement = parse(Buffer.from(items[i]!.body!).toString()) as Record<string, unknown>;
    change(agreement);
    const text = Buffer.from(stringify(agreement));
    const digest = toHex(sha256(text));
    return items.map(({ entry, ...rest }, k): Item => {
      if (k === i) return { entry: { ...entry, detail: { agreement: digest } }, body: text };
      const of = entry.kind === 'approved' ? { detail: { ...entry.detail, agreement: digest } } : {};
      return { ...rest, entry: { ...entry, ...of } };
    });
  };

interface Case {
  readonly kind: FindingKind;
  readonly words: RegExp;
  readonly edit: Edit;
}

/** Lies in a log that is consistent in itself: what it says was not allowed, or is no message. */
const INSIDE: Readonly<Record<string, Case>> = {
  'no approval': {
    kind: 'approval',
    words: /not approved/,
    edit: (items) => without(items, at(items, 'approved')),
  },
  'a template that the log does not hold': {
    kind: 'approval',
    words: /by a template/,
    edit: (items) => without(items, at(items, 'decision', 'template')),
  },
  'an agreement that had ended': {
    kind: 'expired',
    words: /ended \(2025-12-30\)/,
    edit: agreed((agreement) => void (agreement['until'] = '2025-12-30')),
  },
  'a variable that the agreement does not name': {
    kind: 'approval',
    words: /`age`/,
    edit: agreed((agreement) => void (agreement['variables'] = ['arm'])),
  },
  'an agreement that asks a custodian': {
    kind: 'approval',
    words: /by a template, and none/,
    edit: agreed((agreement) => {
      agreement['approval'] = 'each-plan';
      agreement['custodians'] = [{ name: 'V', key: 'ab'.repeat(32) }];
      delete agreement['templates'];
    }),
  },
  'answers that a custodian has to see': {
    kind: 'approval',
    words: /has to see first: no custodian/,
    edit: agreed((agreement) => {
      agreement['approval'] = 'each-release';
      agreement['custodians'] = [{ name: 'V', key: 'ab'.repeat(32) }];
      delete agreement['templates'];
    }),
  },
  'more participants asked for': {
    kind: 'policy',
    words: /participants: 120 where 500/,
    edit: agreed(
      (agreement) =>
        void ((agreement['disclosure'] as Record<string, unknown>)['participants'] = {
          minimum: 500,
          per_arm: 5,
        }),
    ),
  },
  'no estimates of one trial': {
    kind: 'policy',
    words: /per_trial_estimates/,
    edit: agreed(
      (agreement) =>
        void ((agreement['disclosure'] as Record<string, unknown>)['per_trial_estimates'] = false),
    ),
  },
  'another policy than the one told': {
    kind: 'policy',
    words: /policy that the approval names/,
    edit: agreed(
      (agreement) => void ((agreement['disclosure'] as Record<string, unknown>)['leverage'] = 0.4),
    ),
  },
  'two questions at most': {
    kind: 'budget',
    words: /allows 2 an analysis/,
    edit: agreed(
      (agreement) => void ((agreement['disclosure'] as Record<string, unknown>)['evaluations'] = 2),
    ),
  },
  'two questions at most in all': {
    kind: 'budget',
    words: /allows 2 of the same records/,
    edit: agreed(
      (agreement) => void ((agreement['disclosure'] as Record<string, unknown>)['total_evaluations'] = 2),
    ),
  },
  'few participants': {
    kind: 'policy',
    words: /participants per arm: 3/,
    edit: (items) => {
      const i = at(items, 'sent', 'oneStageEntry');
      return replaced(
        items,
        i,
        reply(items[i]!.body!, site, ({ payload }) => {
          if (payload?.$case === 'oneStageEntry') payload.value.counts!.participants = [60, 3];
        }),
      );
    },
  },
  'a vector of another length': {
    kind: 'schema',
    words: /length/,
    edit: (items) => {
      const i = at(items, 'sent', 'objectiveValue');
      return replaced(
        items,
        i,
        reply(items[i]!.body!, site, ({ payload }) => {
          if (payload?.$case === 'objectiveValue') payload.value.values.push(1);
        }),
      );
    },
  },
  'a field that the schema does not have': {
    kind: 'schema',
    words: /field/,
    edit: (items) => {
      const i = at(items, 'received', 'entryQuestion');
      return replaced(items, i, Buffer.concat([items[i]!.body!, Buffer.from([0xfa, 0x01, 0x01, 0x00])]));
    },
  },
  'a question at other parameters': {
    kind: 'question',
    words: /parameters of its own/,
    edit: (items) => {
      const i = at(items, 'received', 'objectiveQuestion');
      const body = question(items[i]!.body!, coordinator, ({ payload }) => {
        if (payload?.$case === 'objectiveQuestion') payload.value.theta[0]! += 0.5;
      });
      const digest = toHex(sha256(SignedMessage.decode(body).body));
      return items.with(i, { entry: { ...items[i]!.entry, task: digest }, body });
    },
  },
  'a question that nobody signed': {
    kind: 'signature',
    words: /has not signed/,
    edit: (items) => {
      const i = at(items, 'received', 'entryQuestion');
      const message = SignedMessage.decode(items[i]!.body!);
      message.signature[5]! ^= 1;
      return replaced(items, i, SignedMessage.encode(message).finish());
    },
  },
  'a question that was taken out': {
    kind: 'omission',
    words: /without the question/,
    edit: (items) => without(items, at(items, 'received', 'entryQuestion')),
  },
  'an answer before its question': {
    kind: 'reorder',
    words: /before the question/,
    edit: (items) => {
      const [asked, answer] = [at(items, 'received', 'entryQuestion'), at(items, 'sent', 'oneStageEntry')];
      return items.with(asked, items[answer]!).with(answer, items[asked]!);
    },
  },
  'an entry of another analysis': {
    kind: 'mutation',
    words: /analysis other/,
    edit: (items) => {
      const i = at(items, 'sent', 'oneStageEntry');
      return items.with(i, { ...items[i]!, entry: { ...items[i]!.entry, analysis: 'other' } });
    },
  },
  'an answer after the site left': {
    kind: 'approval',
    words: /had left the run/,
    edit: (items) => {
      const [left, answer] = [at(items, 'sent', 'runLeft'), at(items, 'sent', 'objectiveValue')];
      return [
        ...items.slice(0, answer),
        ...items.slice(answer + 1, left + 1),
        items[answer]!,
        ...items.slice(left + 1),
      ];
    },
  },
};

/** Lies that the messages of the log itself betray, since they were signed before. */
const BETRAYED: Readonly<Record<string, Case>> = {
  'an entry more': {
    kind: 'insertion',
    words: /more entry stands/,
    edit: (items) =>
      items.toSpliced(at(items, 'approved'), 0, { entry: { ...items[0]!.entry, kind: 'stop' } }),
  },
  'an entry less': {
    kind: 'omission',
    words: /not there any more/,
    edit: (items) => without(items, at(items, 'start')),
  },
  'two entries exchanged': {
    kind: 'reorder',
    words: /order/,
    edit: (items) => {
      const i = at(items, 'sent', 'oneStageEntry');
      return items.with(i, items[i - 1]!).with(i - 1, items[i]!);
    },
  },
  'another time': {
    kind: 'mutation',
    words: /was changed since/,
    edit: (items) =>
      items.map((item, i) =>
        i === 1 ? { ...item, entry: { ...item.entry, time: '2026-01-01T00:00:01.000Z' } } : item,
      ),
  },
};

for (const [name, { kind, words, edit }] of Object.entries(INSIDE))
  test(`within a site's log: ${name}`, () => assertFound(lie(edit, true, false), kind, words));

for (const [name, { kind, words, edit }] of Object.entries(BETRAYED)) {
  test(`betrayed by the log's own messages: ${name}`, () => {
    const verdict = lie(edit, false, false);
    assertFound(verdict, kind, words);
    assert.equal(
      verdict.findings.filter((finding) => finding.kind !== 'backdating').length,
      1,
      told(verdict).join('\n'),
    );
  });
}

test('written again without a change, a log is as honest as before', () => {
  assert.deepEqual(told(lie((items) => items, false, true)), []);
});

test("the other side's log shows what a consistent forgery hides", () => {
  const fewer: Edit = (items) => {
    const i = at(items, 'sent', 'objectiveValue');
    return replaced(
      items,
      i,
      reply(items[i]!.body!, site, ({ payload }) => {
        if (payload?.$case === 'objectiveValue') payload.value.values[0]! += 1;
      }),
    );
  };
  const changed = lie(fewer, true, true);
  assertFound(changed, 'mutation', /another answer here than the coordinator took/);
  assertFound(changed, 'fork', /another history/);
});

test('answers that were taken out are missed by the coordinator', () => {
  const verdict = lie((items) => items.filter(({ entry }) => entry.type !== 'objectiveValue'), true, true);
  assertFound(verdict, 'omission', /does not hold an answer that it signed/);
});

test('a log that ends early is shorter than what was seen of it', () => {
  const verdict = lie((items) => items.slice(0, -6), false, true);
  assertFound(verdict, 'truncation', /has seen/);
});

for (const party of ['A', 'coordinator'])
  test(`a log of ${party} from an earlier day lacks what came since, which is one thing`, () => {
    const items = itemsOf(federation.log(party));
    const early = forge(party, items.slice(0, items.length / 2), federation.identity(party));
    const { findings, notes } = audited({ ...honest(), [party]: early });
    assert.equal(findings.length, party === 'A' ? 1 : STUDIES.length);
    for (const { kind, place, message } of findings) {
      assert.deepEqual([kind, place.log], ['truncation', originOf(party)]);
      assert.match(message, /ask for a newer bundle/);
    }
    const answered = notes.filter(({ message }) => message.includes('may have been under way'));
    assert.ok(answered.length <= STUDIES.length);
  });

test('what an administrator has acknowledged is a note, and nothing else is', () => {
  const short = itemsOf(federation.log('A')).slice(0, -6);
  const [A, B] = [forge('A', short, site), federation.log('B')];
  const items = itemsOf(federation.log('coordinator'));
  const last = items.at(-1)!.entry;
  const said = (type: string, detail: Readonly<Record<string, string | number>>): Item => ({
    entry: { n: 0, time: last.time, kind: 'decision', peer: 'A', type, detail },
  });
  const of = { divergence: 'rollback', log: 'concordat/site/A', evidence: 'ab'.repeat(32) };
  const noticed = said('divergence', { ...of, kept_size: 1000, size: short.length });
  const known = (...more: Item[]): Verdict =>
    audited({ A, B, coordinator: forge('coordinator', [...items, ...more], coordinator) });
  assertFound(known(noticed), 'truncation', /has seen/);
  const verdict = known(noticed, said('acknowledgement', of));
  assert.deepEqual(told(verdict), []);
  assert.ok(verdict.notes.some(({ message }) => message.includes('(acknowledged)')));
});

test('the coordinator cannot take back what it asked, nor an answer', () => {
  const items = itemsOf(federation.log('coordinator'));
  const i = at(items, 'received', 'objectiveValue');
  const forged = (kept: Item[]): Verdict =>
    audited({ ...honest(), coordinator: forge('coordinator', kept, coordinator, { remake: false }) });
  assertFound(
    forged(without(items, i)),
    'omission',
    /its log|an answer that the site sent|not there any more/,
  );
  const asked = at(items, 'sent', 'objectiveQuestion');
  assertFound(forged(without(items, asked)), 'omission', /a question that it signed/);
  assertFound(forged(without(items, asked)), 'omission', /1 of them is not there/);
});

test('a second answer that the coordinator kept proves that the site signed two', () => {
  const items = itemsOf(federation.log('coordinator'));
  const { entry, body } = items[at(items, 'received', 'objectiveValue')]!;
  const other = reply(body!, federation.identity(entry.peer!), ({ payload }) => {
    if (payload?.$case === 'objectiveValue') payload.value.values[0]! += 1;
  });
  const { type: _type, ...rest } = entry;
  const kept: Item = { entry: { ...rest, kind: 'refused', detail: { code: 'conflict' } }, body: other };
  const verdict = audited({ coordinator: forge('coordinator', [...items, kept], coordinator) });
  assertFound(verdict, 'fork', /two answers to one question/);
});

test('a question that no optimiser asks is found by replaying the run', () => {
  const items = itemsOf(federation.log('coordinator')).map(({ entry, body }): Item => {
    if (entry.kind !== 'sent' || entry.type !== 'objectiveQuestion')
      return body === undefined ? { entry } : { entry, body };
    return {
      entry,
      body: question(body!, coordinator, ({ payload }) => {
        if (payload?.$case === 'objectiveQuestion') payload.value.theta[0]! += 0.5;
      }),
    };
  });
  const verdict = audited({ coordinator: forge('coordinator', items, coordinator) });
  assertFound(verdict, 'question', /no honest optimiser/);
});

test('two sites that were shown different logs find out, without the coordinator', () => {
  const items = itemsOf(federation.log('A')).map(({ entry, body }): Item => {
    if (entry.kind !== 'received') return body === undefined ? { entry } : { entry, body };
    const made = question(body!, coordinator, ({ header }) => {
      header!.checkpoint!.root = sha256(header!.checkpoint!.root);
    });
    return { entry: { ...entry, task: toHex(sha256(SignedMessage.decode(made).body)) }, body: made };
  });
  const verdict = audited({ A: forge('A', items, site), B: federation.log('B') });
  assertFound(verdict, 'fork', /two histories/);
});

test('an answer that arrived before it was sent', () => {
  const items = itemsOf(federation.log('A')).map(({ entry, ...rest }): Item => ({
    ...rest,
    entry: { ...entry, time: entry.time.replace('T00:00', 'T09:00') },
  }));
  assertFound(
    audited({ ...honest(), A: forge('A', items, site, { remake: true }) }),
    'backdating',
    /before it was sent/,
  );
});

test('a key that was given decides, whatever the logs say', () => {
  const stranger = signingIdentity(generateSigningKey(), 'a stranger');
  const verdict = audited(
    { A: federation.log('A') },
    { keys: new Map([['coordinator', stranger.publicKey]]) },
  );
  assertFound(verdict, 'signature', /another key/);
});

test("a custodian's statement allows what it is about, and nothing else", () => {
  const key = signingIdentity(generateSigningKey(), 'a custodian');
  const custodian = {
    name: 'Vera',
    publicKey: toHex(key.publicKey),
    sign: (statement: Uint8Array) => signBytes(key, 'concordat.v1 statement\n', statement),
  };
  const asked = agreed((agreement) => {
    agreement['approval'] = 'each-plan';
    agreement['custodians'] = [{ name: 'Vera', key: custodian.publicKey }];
    delete agreement['templates'];
  });
  const approvedWith =
    (over: Readonly<Record<string, unknown>>): Edit =>
    (written) => {
      const items = asked(written);
      const i = at(items, 'approved');
      const { entry } = items[i]!;
      const statement = signStatement(
        {
          kind: 'approve',
          run: entry.run!,
          plan: `${entry.detail!['plan']}`,
          sites: STUDIES,
          minimum: 2,
          data: `${entry.detail!['data']}`,
          agreement: `${entry.detail!['agreement']}`,
          note: '',
          ...over,
        },
        'A',
        custodian,
        new Date(entry.time),
      );
      const digest = toHex(sha256(statement.text));
      const logged: Item = {
        entry: { ...entry, kind: 'decision', type: 'statement', detail: { statement: digest } },
        body: Buffer.from(JSON.stringify(statement)),
      };
      const detail = { ...entry.detail, mode: 'custodian', statement: digest, custodian: 'Vera' };
      return [...items.slice(0, i), logged, { entry: { ...entry, detail } }, ...items.slice(i + 1)];
    };
  assert.deepEqual(told(lie(approvedWith({}), true, false)), []);
  for (const over of [
    { sites: ['A'] },
    { plan: '0'.repeat(64) },
    { data: '0'.repeat(64) },
    { run: '0'.repeat(32) },
  ])
    if (!('run' in over)) assertFound(lie(approvedWith(over), true, false), 'approval', /no custodian/);
});
