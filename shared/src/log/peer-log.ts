/**
 * One side's view of the other's log, and of what the other keeps of its own: what every exchange carries, and what comes of it. Beside
 * the own log are `witness/<origin>`, the last checkpoint of that log with this side's cosignature, and `cosigned/<origin>`, the own
 * last one with the other's. Neither is flushed: a power cut leaves an older base, from which a proof can be had just as well.
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
}

/** What an exchange comes to: `together`, that it may be used; or why it is not. */
export type Standpoint = 'together' | 'unproven' | DivergenceKind;

/**
 * Checkpoints of one peer are cosigned and written at most so often, milliseconds: the signatures would cost more than the rest of a
 * round. That they are consistent is checked each time.
 */
const COSIGNING_INTERVAL = 1_000;

interface Kept {
  readonly note: string;
  readonly head: SignedCheckpoint;
}

export class PeerLog {
  readonly #options: PeerLogOptions;
  /** The peer's last checkpoint that was cosigned. It changes as an exchange is taken or offered alone, so that the peer is told. */
  #kept: Kept | null = null;
  /** When that was, milliseconds since 1970. */
  #keptAt = -Infinity;
  /** A later one that is consistent with it, to be cosigned when the interval has passed. */
  #later: Kept | null = null;
  /** The own checkpoint that the peer said last to keep, and its size. */
  #cosigned: Kept | null = null;
  #from = 0;
  /** Divergences that no administrator has acknowledged, of the peer's log and of the own. */
  #open: readonly Divergence[] = [];
  /** Own checkpoints that the peer may hold and that are of the own log no more, as an administrator has acknowledged. */
  readonly #forgone: TreeHead[] = [];

  constructor(options: PeerLogOptions) {
    this.#options = options;
    const { log, origin, key, peer } = options;
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
      if (!logged.acknowledged) this.#open = [...this.#open, logged];
      else if (of === log.origin) this.#forgone.push(before);
    }
  }

  /** The divergence for which this side has halted; null where it has not. */
  get halted(): DivergenceKind | null {
    return this.#open[0]?.kind ?? null;
  }

  /** What the next message to the peer carries. `unproven`: of the exchange that it answers nothing was used. */
  offer(unproven = false): Witness {
    this.#acknowledge();
    this.#keepLater(COSIGNING_INTERVAL);
    const { log } = this.#options;
    const { size } = log.tree;
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
    this.#acknowledge();
    const witness = checkWitness(presented);
    const theirs = readStanding(witness.standing);
    if (witness.kept === '') this.#from = 0;
    else this.#takeOwn(witness.kept);
    const verdict = this.#takeTheirs(witness);
    if (this.halted !== null) return this.halted;
    if (theirs !== null) return theirs;
    return verdict === 'unproven' ? 'unproven' : 'together';
  }

  /** Keeps what waits for its cosignature. */
  close(): void {
    this.#keepLater(0);
  }

  /** What the peer keeps of this side's log. */
  #takeOwn(note: string): void {
    const { log, identity, key, origin } = this.#options;
    if (note === this.#cosigned?.note) {
      this.#from = this.#cosigned.head.size;
      return;
    }
    const own = readCheckpoint(note);
    if (own === null || own.origin !== log.origin) throw malformed();
    const kind = divergenceFrom(log.tree, own);
    // What the own log holds needs no signature; what it does not hold is evidence with one alone.
    if ((kind !== null && !isSigned(own, identity.publicKey)) || cosignedAt(own, origin, key) === null)
      throw notSigned(own);
    this.#from = own.size;
    if (kind === null) {
      this.#cosigned = { note, head: own };
      this.#write('cosigned', note);
    } else if (!this.#forgone.some((head) => sameHead(head, own)))
      this.#diverged({ kind, kept: note, shown: log.note });
  }

  #takeTheirs({ checkpoint: note, from, proof }: Witness): 'unproven' | null {
    const { origin, key } = this.#options;
    const head = readCheckpoint(note);
    if (head === null || head.origin !== origin) throw malformed();
    const verdict = judge(this.#kept?.head ?? null, head, from, proof);
    if (verdict === 'unproven') return 'unproven';
    if (verdict !== 'extends') {
      if (!isSigned(head, key)) throw notSigned(head);
      this.#diverged({ kind: verdict, kept: this.#kept!.note, shown: note });
      return null;
    }
    const last = Math.max(this.#kept?.head.size ?? -1, this.#later?.head.size ?? -1);
    if (head.size > last) this.#later = { note, head };
    if (!this.#keepLater(COSIGNING_INTERVAL)) throw notSigned(head);
    return null;
  }

  /** Cosigns the peer's latest checkpoint, where the last was kept so long ago. False where its log has not signed it. */
  #keepLater(interval: number): boolean {
    const { key, origin, now } = this.#options;
    // A clock that was set back holds nothing up.
    if (this.#later === null || Math.abs(now().getTime() - this.#keptAt) < interval) return true;
    const { note, head } = this.#later;
    this.#later = null;
    if (!isSigned(head, key)) return false;
    // Until an administrator says which history it is that goes on.
    if (!this.#open.some((open) => headsOf(open).log === origin)) this.#keep(note, head);
    return true;
  }

  #keep(note: string, head: SignedCheckpoint): void {
    const { log, identity, now } = this.#options;
    this.#keptAt = now().getTime();
    const seconds = Math.floor(this.#keptAt / 1000);
    this.#kept = { note: cosign(note, log.origin, identity, seconds), head };
    this.#write('witness', this.#kept.note);
  }

  /** Once for each checkpoint that is kept: the log that diverged goes on growing. */
  #diverged(divergence: Divergence): void {
    const { log, peer, told } = this.#options;
    const { kept } = headsOf(divergence);
    if (this.#open.some((open) => sameHead(headsOf(open).kept, kept) && headsOf(open).log === kept.origin))
      return;
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
    for (const divergence of this.#open) {
      if (!waiting.evidence.includes(evidenceOf(divergence))) continue;
      const { log: of, kept, shown } = headsOf(divergence);
      if (of === log.origin) this.#forgone.push(kept);
      // Before it is logged: after a crash between the two it is acknowledged again.
      else {
        this.#later = null;
        this.#keep(divergence.shown, shown);
      }
      const { entry, body } = acknowledgementItem(divergence, peer, waiting.note);
      log.append(entry, body);
      this.#open = this.#open.filter((open) => open !== divergence);
      told('acknowledgement', divergence);
    }
    dropAcknowledgement(fs, directory, origin);
  }

  #read(folder: Folder): string {
    const { fs } = this.#options.log.place;
    const file = this.#file(folder);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  #write(folder: Folder, note: string): void {
    const { fs } = this.#options.log.place;
    const file = this.#file(folder);
    fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    fs.writeFileSync(`${file}.tmp`, note, { mode: 0o600 });
    fs.renameSync(`${file}.tmp`, file);
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
