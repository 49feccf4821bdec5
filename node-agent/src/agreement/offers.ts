/** Offers of plans, as the log holds them. */
import { CoordinatorMessage, type PlanOffer } from '@concordat/proto/concordat/v1/coordinator.ts';
import { SignedMessage } from '@concordat/proto/concordat/v1/exchange.ts';
import type { Header } from '@concordat/proto/concordat/v1/header.ts';
import { hasBody } from '@concordat/shared/log/entry.ts';
import type { MessageLog } from '@concordat/shared/log/message-log.ts';
import { decode } from '@concordat/shared/wire/codec.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

export interface LoggedOffer {
  readonly offer: PlanOffer;
  readonly header: Header;
}

export class LoggedOffers {
  readonly #log: MessageLog;
  readonly #coordinatorKey: Uint8Array;

  constructor(log: MessageLog, coordinatorKey: Uint8Array) {
    this.#log = log;
    this.#coordinatorKey = coordinatorKey;
  }

  /** The offer that is a task (hex), if the pinned coordinator signed it. */
  of(task: string): LoggedOffer | null {
    const entry = this.#log
      .entriesOf(task)
      .find(({ kind, type }) => kind === 'received' && type === 'planOffer');
    if (entry === undefined || !hasBody(entry)) return null;
    const signed = decode(SignedMessage, this.#log.body(entry), 'a logged message');
    if (!sameBytes(signed.key, this.#coordinatorKey)) return null;
    const { header, payload } = decode(CoordinatorMessage, signed.body, 'a logged task');
    return header === undefined || payload?.$case !== 'planOffer' ? null : { offer: payload.value, header };
  }

  /** The one for which a run was accepted; null where it was not. */
  accepted(run: string): LoggedOffer | null {
    const entry = this.#log.entries.find((logged) => logged.kind === 'approved' && logged.run === run);
    return entry?.task === undefined ? null : this.of(entry.task);
  }

  /** The one that counts for a run: the one it was accepted for, which no later one replaces, or else the last. */
  current(run: string): LoggedOffer | null {
    return this.accepted(run) ?? this.all(run).at(-1) ?? null;
  }

  /** All of a run, in their order. */
  all(run: string): readonly LoggedOffer[] {
    return this.#log.entries.flatMap(
      (logged) =>
        (logged.kind === 'received' &&
          logged.type === 'planOffer' &&
          logged.run === run &&
          logged.task !== undefined &&
          this.of(logged.task)) ||
        [],
    );
  }
}
