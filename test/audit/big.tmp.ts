import * as fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import { CoordinatorMessage } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { MessageLog } from '@concordat/shared/log/message-log.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import { InProcess } from '../end-to-end/in-process.ts';
import { BINARY_PLAN, writeOneStageTrials } from '../end-to-end/trials.ts';
import { itemsOf, signed, type Item } from './forge.ts';
import { originOf } from '@concordat/audit/verify.ts';

const STUDIES = ['A', 'B', 'C'];
const federation = new InProcess({ plan: BINARY_PLAN, data: writeOneStageTrials(STUDIES) });
await federation.play();
for (const party of ['A', 'coordinator']) {
  const target = Number(process.argv[2]);
  const items = itemsOf(federation.log(party));
  const first = items.findIndex(({ entry }) => entry.run !== undefined);
  const directory = `/dev/shm/big-${party}`;
  fs.rmSync(directory, { recursive: true, force: true });
  const log = new MessageLog({
    fs: { ...fs, fsyncSync: () => undefined, existsSync: fs.existsSync },
    directory,
    origin: originOf(party),
    identity: federation.identity(party),
    now: () => new Date('2026-01-01T00:00:00Z'),
    randomBytes: (n) => new Uint8Array(randomBytes(n)),
  });
  const put = ({ entry, body }: Item) => {
    const { n: _n, time: _t, body: _b, at: _a, ...rest } = entry;
    log.append(rest, body);
  };
  items.slice(0, first).forEach(put);
  for (let r = 0; log.entries.length < target; r++) {
    const run = sha256(`run ${r}`).subarray(0, 16);
    const tasks = new Map<string, string>();
    let cp = log.checkpoint();
    let cpRound = '';
    for (const { entry, body } of items.slice(first)) {
      const e: any = { ...entry, run: toHex(run) };
      let made = body;
      if (entry.kind === 'received' || entry.kind === 'sent') {
        const isTask = (entry.kind === 'sent') === (party === 'coordinator');
        const inner = SignedMessage.decode(body!).body;
        const m: any = (isTask ? CoordinatorMessage : SiteMessage).decode(inner);
        m.header.run = run;
        if (!isTask) m.header.inReplyTo = Buffer.from(tasks.get(entry.task!)!, 'hex');
        if (entry.kind === 'sent') {
          if (party === 'A' || cpRound !== `${entry.round}`) {
            cp = log.checkpoint();
            cpRound = `${entry.round}`;
          }
          m.header.checkpoint = cp;
        }
        const signer = isTask ? 'coordinator' : m.header.study;
        made = signed(
          ((isTask ? CoordinatorMessage : SiteMessage) as any).encode(m).finish(),
          federation.identity(signer),
        );
        if (isTask) tasks.set(entry.task!, toHex(sha256(SignedMessage.decode(made).body)));
      }
      if (e.task !== undefined) e.task = tasks.get(e.task) ?? e.task;
      put({ entry: e, ...(made === undefined ? {} : { body: made }) });
    }
  }
  console.log(party, log.entries.length, fs.readdirSync(directory));
  log.close();
}
