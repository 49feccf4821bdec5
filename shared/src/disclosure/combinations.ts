/**
 * Which few participants a combination of sums over sets would show. Sums over sets S₁ … Sₖ, with weights w, are the sum in
 * which each participant counts Σⱼ wⱼ [i ∈ Sⱼ] times. The sets divide the records into atoms, within which this number is
 * the same. A combination shows few people where it is 0 on every atom of many: the w that are, are the left null
 * space of the sets' membership in those atoms, and what they leave on the atoms of few is read off its reduced basis.
 * Whatever the number of sets: all less its three regions, or A − B − C + D.
 */

/** Bit i (word i >>> 5, bit i & 31) says whether record i is in the set; words beyond the end are 0. */
export type Bitmap = Uint32Array;

/** Arithmetic modulo a prime: exact, and products stay within doubles' 53 bits. */
const PRIME = 67_108_859;

interface Atoms {
  /** Atom of each record; 0: in no set. */
  readonly of: Int32Array;
  /** Of each atom, which sets hold it. */
  readonly members: readonly Uint8Array[];
}

/**
 * Participants that a combination shows, where they are fewer than `limit`: of the reduced basis, and of what is left where two
 * of it cancel somewhere. Complete in whether few-people atoms can be shown at all, though not in how few at once.
 *
 * @param owner a number for the participant of each record, −1: the record is one; null: every record is one
 */
export function combinations(
  sets: readonly Bitmap[],
  owner: Int32Array | null,
  limit: number,
): readonly number[] {
  const atoms = divide(sets);
  const people = atoms.members.map(() => new Set<number>());
  atoms.of.forEach((atom, record) => {
    const own = owner?.[record] ?? -1;
    // Atoms of many need no list of theirs; records without an owner are told from owners by their sign.
    if (atom > 0 && people[atom]!.size < limit) people[atom]!.add(own < 0 ? -1 - record : own);
  });
  const few = atoms.members.flatMap((_, atom) => (atom > 0 && people[atom]!.size < limit ? [atom] : []));
  if (few.length === 0) return [];
  const many = atoms.members.filter((_, atom) => atom > 0 && people[atom]!.size >= limit);
  const weights = nullSpace(many, sets.length);
  const shown = reduce(
    weights.map((w) => few.map((atom) => product(w, atoms.members[atom]!))),
    few.length,
  );
  const pairs = shown.flatMap((a, i) =>
    shown.slice(0, i).flatMap((b) =>
      a.flatMap((value, at) => {
        const other = b[at]!;
        return value === 0 || other === 0 ? [] : [less(a, b, (value * inverse(other)) % PRIME)];
      }),
    ),
  );
  return [...shown, ...pairs]
    .map((row) => new Set(few.flatMap((atom, i) => (row[i] === 0 ? [] : [...people[atom]!]))).size)
    .filter((count) => count > 0 && count < limit);
}

/** Splits the records by each set in turn. */
function divide(sets: readonly Bitmap[]): Atoms {
  const size = 32 * sets.reduce((longest, { length }) => Math.max(longest, length), 0);
  const of = new Int32Array(size);
  const members = [new Uint8Array(sets.length)];
  sets.forEach((set, j) => {
    const inside = new Int32Array(members.length).fill(-1);
    for (let record = 0; record < 32 * set.length; record++) {
      if ((set[record >>> 5]! & (1 << (record & 31))) === 0) continue;
      const atom = of[record]!;
      if (inside[atom] === -1) {
        inside[atom] = members.length;
        members.push(Uint8Array.from(members[atom]!).fill(1, j, j + 1));
      }
      of[record] = inside[atom]!;
    }
  });
  return { of, members };
}

/** Basis of the weights that are 0 on every atom given. */
function nullSpace(atoms: readonly Uint8Array[], sets: number): readonly number[][] {
  const rows: number[][] = [];
  for (const atom of atoms) {
    if (rows.length === sets) return [];
    insert(rows, Array.from(atom));
  }
  const pivots = rows.map((row) => row.findIndex((value) => value !== 0));
  const free = Array.from({ length: sets }, (_, j) => j).filter((j) => !pivots.includes(j));
  return free.map((j) => {
    const w = new Array<number>(sets).fill(0);
    w[j] = 1;
    rows.forEach((row, i) => (w[pivots[i]!] = (PRIME - row[j]!) % PRIME));
    return w;
  });
}

function reduce(vectors: readonly number[][], length: number): readonly number[][] {
  const rows: number[][] = [];
  for (const vector of vectors) {
    if (rows.length === length) break;
    insert(rows, vector);
  }
  return rows;
}

/** Adds a vector to a reduced row echelon basis, where it is no combination of its rows. */
function insert(rows: number[][], vector: number[]): void {
  let rest = vector;
  for (const row of rows) {
    const pivot = row.findIndex((value) => value !== 0);
    rest = less(rest, row, rest[pivot]!);
  }
  const pivot = rest.findIndex((value) => value !== 0);
  if (pivot < 0) return;
  const scale = inverse(rest[pivot]!);
  const own = rest.map((value) => (value * scale) % PRIME);
  rows.forEach((row, i) => (rows[i] = less(row, own, row[pivot]!)));
  rows.push(own);
}

const less = (a: readonly number[], b: readonly number[], factor: number): number[] =>
  factor === 0 ? [...a] : a.map((value, i) => (value + (PRIME - factor) * b[i]!) % PRIME);

const product = (w: readonly number[], atom: Uint8Array): number =>
  w.reduce((sum, value, j) => (atom[j] === 1 ? (sum + value) % PRIME : sum), 0);

/** By Fermat's little theorem. */
function inverse(value: number): number {
  let [result, base, exponent] = [1, value, PRIME - 2];
  while (exponent > 0) {
    if (exponent % 2 === 1) result = (result * base) % PRIME;
    base = (base * base) % PRIME;
    exponent = Math.floor(exponent / 2);
  }
  return result;
}
