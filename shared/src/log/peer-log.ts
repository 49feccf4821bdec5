/**
 * One side's view of the other's log, and of what the other keeps of its own: what every exchange carries, and what comes of it. Beside
 * the own log are `witness/<origin>`, the last checkpoint of that log with this side's cosignature, and `cosigned/<origin>`, the own
 * largest one with the other's. Neither is flushed, but after an acknowledgement: a power cut leaves an older base, from which a proof
 * can be had just as well.
 */
import { dirname, join } from 'node:path';

import type { Witness } from '@concordat/proto/concordat/v1/exchange.ts';

import { ConcordatError } from '../errors.ts';
import { sameBytes } from '../wire/digest.ts';
import type { SigningIdentity } from '../wire/signing.ts';
import {
  acknowledgementItem,
  divergenceItem,
  dropAcknowledgement,
  evidenceOf,
  headsOf,
  loggedDivergences,
  waitingAcknowledgement,
  type Divergence,
} from './divergence.ts';
import type { TreeHead } from './merkle.ts';
import type { MessageLog } from './message-log.ts';
import { cosign, cosignedAt, isSigned, readCheckpoint, type SignedCheckpoint } from './note.ts';
import {
  checkWitness,
  divergenceFrom,
  judge,
  malformed,
  readStanding,
  standingOf,
  type DivergenceKind,
  type Verdict,
} from './witness.ts';

export interface PeerLogOptions {
  readonly log: MessageLog;
  readonly identity: SigningIdentity;
  /** As the log's entries name it. */
  readonly peer: string;
  /** Of the peer's log, and its name as a witness. */
  readonly origin: string;
  /** Public signing key, 32 bytes. */
  readonly key: Uint8Array;
  readonly now: () => Date;
  readonly told: (event: 'divergence' | 'acknowledgement', divergence: Divergence) => void;
  /** For the operational log: what an administrator has to see to. Each is said once. */
  readonly warned: (warning: PeerLogWarning) => void;
}

export type PeerLogWarning =
  | 'cosignature is dated ahead of this clock and not kept'
  | 'acknowledgement beside the log cannot be used';

/** What an exchange comes to: `together`, that it may be used; or why it is not. */
export type Standpoint = 'together' | 'unproven' | DivergenceKind;

/**
 * Checkpoints of one peer are cosigned and written at most so often, milliseconds: that would cost more than the rest of a round. That
 * they are signed and consistent is checked each time.
 */
const COSIGNING_INTERVAL = 1_000;
/** A cosignature that is dated further ahead would make all that this side logs next look backdated. Milliseconds. */
const CLOCK_TOLERANCE = 5 * 60 * 1_000;

interface Kept {
  readonly note: string;
  readonly head: SignedCheckpoint;
}

export class PeerLog {
  readonly #options: PeerLogOptions;
  /** The peer's newest checkpoint that was taken: what the next is judged against. It stays while the peer's log is not what it was. */
  #kept: Kept | null = null;
  /** It is to be cosigned and written when the interval has passed. */
  #uncosigned = false;
  /** When the last was, milliseconds since 1970. */
  #cosignedAt = -Infinity;
  /** What the peer showed last while a divergence of its log is open, where that goes on from what is kept after all. */
  #resumed: Kept | null = null;
  /** The own checkpoint that the peer said last to keep: its size. */
  #from = 0;
  /** The largest own checkpoint that the peer cosigned. */
  #cosigned: Kept | null = null;
  /** The own note that was sent last: its signature need not be verified when it comes back. */
  #offered: string;
  /** Divergences that no administrator has acknowledged: at most one of the peer's log, and one of the own. */
  #open: readonly Divergence[] = [];
  /** Own checkpoints that the peer may hold and that are of the own log no more, as an administrator has acknowledged. */
  readonly #forgone: TreeHead[] = [];
  readonly #warned = new Set<PeerLogWarning>();

  constructor(options: PeerLogOptions) {
    this.#options = options;
    const { log, origin, key, peer } = options;
    this.#offered = log.note;
    const kept = readCheckpoint(this.#read('witness'));
    if (kept !== null && kept.origin === origin && isSigned(kept, key))
      this.#kept = { note: this.#read('witness'), head: kept };
    const cosigned = this.#read('cosigned');
    const own = readCheckpoint(cosigned);
    if (own !== null && own.origin === log.origin && divergenceFrom(log.tree, own) === null)
      [this.#cosigned, this.#from] = [{ note: cosigned, head: own }, own.size];
    for (const logged of loggedDivergences(log.entries, peer, (entry) => log.body(entry))) {
      const { log: of, kept: before } = headsOf(logged);
      // Of a site that joined anew, what was kept under its old key is of another log.
      const current = of === origin ? isSigned(before, key) : cosignedAt(before, origin, key) !== null;
      if (!current) continue;
      if (!logged.acknowledged) {
        this.#open = [...this.#open, logged];
        // The file may have been lost with the power: the log was flushed.
        if (of === origin) this.#kept = { note: logged.kept, head: before };
      } else if (of === log.origin) this.#forgone.push(before);
    }
  }

  /** The divergence for which this side has halted; null where it has not. */
  get halted(): DivergenceKind | null {
    return this.#open[0]?.kind ?? null;
  }

  /** What the next message to the peer carries. `unproven`: of the exchange that it answers nothing was used. */
  offer(unproven = false): Witness {
    this.#cosign(COSIGNING_INTERVAL);
    const { log } = this.#options;
    const { size } = log.tree;
    this.#offered = log.note;
    return {
      checkpoint: log.note,
      from: this.#from,
      proof: this.#from <= size ? [...log.tree.consistencyProof(this.#from, size)] : [],
      kept: this.#kept?.note ?? '',
      standing: standingOf(this.halted ?? (unproven ? 'unproven' : null)),
    };
  }

  /** Takes what a message of the peer carries. Throws wire/malformed, wire/length or wire/signature for what no sound peer sends. */
  take(presented: Witness | undefined): Standpoint {
    const witness = checkWitness(presented);
    const theirs = readStanding(witness.standing);
    const isOwn = this.#takeOwn(witness.kept);
    const verdict = this.#takeTheirs(witness);
    // What the log has come to since may be what is gone on from, so that it has to be known.
    if (verdict !== 'unproven') this.#acknowledge();
    if (this.halted !== null) return this.halted;
    if (theirs !== null) return theirs;
    return isOwn && verdict === 'extends' ? 'together' : 'unproven';
  }

  /** Cosigns and writes what waits for it. */
  close(): void {
    this.#cosign(0);
  }

  /** What the peer keeps of this side's log. False where it is not of that log, and the peer has not cosigned it yet. */
  #takeOwn(note: string): boolean {
    const { log, identity, key, origin, now } = this.#options;
    if (note === '') {
      this.#from = 0;
      return true;
    }
    if (note === this.#cosigned?.note) {
      this.#from = this.#cosigned.head.size;
      return true;
    }
    const own = readCheckpoint(note);
    if (own === null || own.origin !== log.origin) throw malformed();
    // The own signature, and the peer's at most: another line would be kept beside the own log, and be held against it.
    if (own.signatures.length > 2) throw notSigned(own);
    if (!note.startsWith(this.#offered) && !isSigned(own, identity.publicKey)) throw notSigned(own);
    const seconds = own.signatures.length === 1 ? null : cosignedAt(own, origin, key);
    if (own.signatures.length === 2 && seconds === null) throw notSigned(own);
    this.#from = own.size;
    const kind = divergenceFrom(log.tree, own);
    if (kind !== null) {
      if (this.#forgone.some((head) => sameHead(head, own))) return true;
      // It is no evidence of what that peer saw. The peer cosigns what it keeps when it sees what this log is now.
      if (seconds === null) return false;
      this.#diverged({ kind, kept: note, shown: log.note });
    } else if (seconds !== null && own.size >= (this.#cosigned?.head.size ?? 0)) {
      if (seconds * 1000 > now().getTime() + CLOCK_TOLERANCE)
        this.#warn('cosignature is dated ahead of this clock and not kept');
      else {
        this.#cosigned = { note, head: own };
        this.#write('cosigned', note);
      }
    }
    return true;
  }

  #takeTheirs({ checkpoint: note, from, proof }: Witness): Verdict {
    const { origin, key } = this.#options;
    const head = readCheckpoint(note);
    if (head === null || head.origin !== origin) throw malformed();
    // Lines of others would be cosigned with it.
    if (head.signatures.length !== 1) throw notSigned(head);
    const verdict = judge(this.#kept?.head ?? null, head, from, proof);
    if (verdict === 'unproven') return verdict;
    const shown = this.#kept !== null && sameHead(this.#kept.head, head) ? this.#kept : { note, head };
    if (shown !== this.#kept && !isSigned(head, key)) throw notSigned(head);
    if (verdict !== 'extends') {
      this.#cosign(0);
      this.#resumed = null;
      this.#diverged({ kind: verdict, kept: this.#kept!.note, shown: note });
    } else if (this.#isOpen(origin)) this.#resumed = shown;
    else {
      if (shown !== this.#kept) [this.#kept, this.#uncosigned] = [shown, true];
      this.#cosign(COSIGNING_INTERVAL);
    }
    return verdict;
  }

  /** Cosigns and writes the checkpoint that is kept, where the last was so long ago. */
  #cosign(interval: number): void {
    // A clock that was set back holds nothing up.
    if (!this.#uncosigned || Math.abs(this.#options.now().getTime() - this.#cosignedAt) < interval) return;
    this.#keep(this.#kept!);
  }

  #keep({ note, head }: Kept, durable = false): void {
    const { log, identity, now } = this.#options;
    this.#cosignedAt = now().getTime();
    const seconds = Math.floor(this.#cosignedAt / 1000);
    this.#kept = { note: cosign(note, log.origin, identity, seconds), head };
    this.#uncosigned = false;
    this.#write('witness', this.#kept.note, durable);
  }

  #isOpen(origin: string): boolean {
    return this.#open.some((open) => headsOf(open).log === origin);
  }

  /** Once for each log, until it is acknowledged: neither the log that goes on growing nor another history of it is another divergence. */
  #diverged(divergence: Divergence): void {
    const { log, peer, told } = this.#options;
    if (this.#isOpen(headsOf(divergence).log)) return;
    const { entry, body } = divergenceItem(divergence, peer);
    log.append(entry, body);
    this.#open = [...this.#open, divergence];
    told('divergence', divergence);
  }

  /** Takes an administrator's acknowledgement, where one waits. */
  #acknowledge(): void {
    if (this.#open.length === 0) return;
    const { log, peer, origin, told } = this.#options;
    const { fs, directory } = log.place;
    const waiting = waitingAcknowledgement(fs, directory, origin);
    if (waiting === null) return;
    if (waiting === 'unusable') {
      this.#warn('acknowledgement beside the log cannot be used');
      return;
    }
    for (const divergence of this.#open) {
      if (!waiting.evidence.includes(evidenceOf(divergence))) continue;
      const { log: of, kept, shown } = headsOf(divergence);
      if (of === log.origin) this.#forgone.push(kept);
      else {
        // Before it is logged, and on disk: after a crash between the two it is acknowledged again.
        const onward = this.#resumed ?? { note: divergence.shown, head: shown };
        if (onward !== this.#kept) this.#keep(onward, true);
        this.#resumed = null;
      }
      const { entry, body } = acknowledgementItem(divergence, peer, waiting.note);
      log.append(entry, body);
      this.#open = this.#open.filter((open) => open !== divergence);
      told('acknowledgement', divergence);
    }
    dropAcknowledgement(fs, directory, origin);
    this.#warned.delete('acknowledgement beside the log cannot be used');
  }

  #warn(warning: PeerLogWarning): void {
    if (this.#warned.has(warning)) return;
    this.#warned.add(warning);
    this.#options.warned(warning);
  }

  #read(folder: Folder): string {
    const { fs } = this.#options.log.place;
    const file = this.#file(folder);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  #write(folder: Folder, note: string, durable = false): void {
    const { fs } = this.#options.log.place;
    const file = this.#file(folder);
    fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    fs.writeFileSync(`${file}.tmp`, note, { mode: 0o600, flush: durable });
    fs.renameSync(`${file}.tmp`, file);
    if (!durable) return;
    const names = fs.openSync(dirname(file), 'r');
    fs.fsyncSync(names);
    fs.closeSync(names);
  }

  #file(folder: Folder): string {
    return join(this.#options.log.place.directory, folder, encodeURIComponent(this.#options.origin));
  }
}

type Folder = 'witness' | 'cosigned';

const sameHead = (a: TreeHead, b: TreeHead): boolean => a.size === b.size && sameBytes(a.root, b.root);

function notSigned({ origin }: SignedCheckpoint): ConcordatError {
  return new ConcordatError(
    'wire/signature',
    'a checkpoint is not signed by its log, or not cosigned by its witness',
    {
      place: origin,
      remedy: 'compare the public keys with the other side out of band',
    },
  );
}
