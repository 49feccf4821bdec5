/** The coordinator's signed word for a result, published beside it. */
import { Roster } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import { SiteMessage } from '@concordat/proto/concordat/v1/site.ts';
import { signRunStatement, type RunPredicate } from '@concordat/shared/attestation/run-statement.ts';
import { hasBody } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';
import type { SigningIdentity } from '@concordat/shared/wire/signing.ts';

import { softwareDigest } from './software-digest.ts';
import type { RunRecord } from './store/journal.ts';

/**
 * The text of `result.intoto.json`. The checkpoint that it names is of the log before the entry that publishes the result: that names
 * this statement by its digest.
 *
 * @param resultText the file's, exactly
 */
export function attest(
  { id, roster }: Pick<RunRecord, 'id' | 'roster'>,
  { plan, run }: Result,
  resultText: string,
  log: Pick<MessageLog, 'origin' | 'checkpoint' | 'entries' | 'body'>,
  identity: SigningIdentity,
): string {
  const { sites } = Roster.decode(roster);
  const { size, root } = log.checkpoint();
  return signRunStatement(
    {
      run: toHex(id),
      plan: { id: plan.id, sha256: plan.sha256 },
      roster: {
        sha256: toHex(sha256(roster)),
        sites: sites.map(({ study, key }) => ({ study, key: toHex(key) })),
      },
      software: { version: run.software, sha256: softwareDigest() },
      coordinator: {
        key: toHex(identity.publicKey),
        checkpoint: { origin: log.origin, size, root: toHex(root) },
      },
      witnessed: sites.flatMap(({ study }) => lastSeen(toHex(id), study, log)),
      result: toHex(sha256(resultText)),
    },
    identity,
  );
}

/** What a site's last answer in the run says of its log. */
function lastSeen(
  run: string,
  study: string,
  log: Pick<MessageLog, 'entries' | 'body'>,
): RunPredicate['witnessed'] {
  const entry = log.entries.findLast(
    (logged) => logged.kind === 'received' && logged.run === run && logged.peer === study,
  );
  if (entry === undefined || !hasBody(entry)) return [];
  const signed = decode(SignedMessage, log.body(entry), 'a logged message');
  const seen = decode(SiteMessage, signed.body, 'a logged reply').header?.checkpoint;
  return seen === undefined
    ? []
    : [{ study, origin: siteOrigin(study), size: seen.size, root: toHex(seen.root) }];
}
