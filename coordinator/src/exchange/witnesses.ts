/** The coordinator as the witness of its sites' logs, and they as the witnesses of its own: one pair is stopped without the others. */
import type { Witness } from '@concordat/proto/concordat/v1/exchange.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { siteOrigin } from '@concordat/shared/log/note.ts';
import { PeerLog, type PeerLogOptions, type Standpoint } from '@concordat/shared/log/peer-log.ts';
import type { DivergenceKind } from '@concordat/shared/log/witness.ts';
import { sameBytes } from '@concordat/shared/wire/digest.ts';

export interface WitnessesOptions extends Pick<PeerLogOptions, 'log' | 'identity' | 'now'> {
  /** Public signing key; null where there is no such site. */
  readonly keyOf: (study: string) => Uint8Array | null;
  readonly told: (study: string, ...event: Parameters<PeerLogOptions['told']>) => void;
  readonly warned: (study: string, ...warning: Parameters<PeerLogOptions['warned']>) => void;
}

export class Witnesses {
  readonly #options: WitnessesOptions;
  readonly #peers = new Map<string, { readonly key: Uint8Array; readonly log: PeerLog }>();

  constructor(options: WitnessesOptions) {
    this.#options = options;
  }

  take(study: string, presented: Witness | undefined): Standpoint {
    return this.#peer(study).take(presented);
  }

  offer(study: string, unproven: boolean): Witness {
    return this.#peer(study).offer(unproven);
  }

  /** The divergence that has stopped a known site; null where none has. */
  halted(study: string): DivergenceKind | null {
    return this.#peer(study).halted;
  }

  close(): void {
    for (const { log } of this.#peers.values()) log.close();
  }

  #peer(study: string): PeerLog {
    const { keyOf, told, warned, ...options } = this.#options;
    const key = keyOf(study);
    if (key === null) throw new ConcordatError('wire/identity', 'no such site', { place: study });
    const known = this.#peers.get(study);
    // A site that joined anew has another key, and another log.
    if (known !== undefined && sameBytes(known.key, key)) return known.log;
    const log = new PeerLog({
      ...options,
      peer: study,
      origin: siteOrigin(study),
      key,
      told: (...event) => told(study, ...event),
      warned: (...warning) => warned(study, ...warning),
    });
    this.#peers.set(study, { key, log });
    return log;
  }
}
