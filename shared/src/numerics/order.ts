const MASK = 0x7ff;

/**
 * Stable ascending order of finite doubles: positions such that values[order[0]] ≤ values[order[1]] ≤ …, by a
 * least-significant-digit radix sort on the bits, 11 at a time; digits that all values share cost one count
 * only.
 */
export function ascendingOrder(values: Float64Array): Uint32Array {
  const n = values.length;
  // Bits of a double order as unsigned integers once negatives are inverted and positives have the sign bit
  // set.
  const low = new Uint32Array(n);
  const high = new Uint32Array(n);
  const double = new Float64Array(1);
  const words = new Uint32Array(double.buffer);
  for (let i = 0; i < n; i++) {
    double[0] = values[i]! + 0; // −0 and 0 are equal times
    const top = words[1]!;
    low[i] = top >= 0x80000000 ? ~words[0]! : words[0]!;
    high[i] = top >= 0x80000000 ? ~top : top | 0x80000000;
  }
  let order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  let spare = new Uint32Array(n);
  const counts = new Uint32Array(MASK + 1);
  for (const [word, shift] of [
    [low, 0],
    [low, 11],
    [low, 22],
    [high, 0],
    [high, 11],
    [high, 22],
  ] as const) {
    counts.fill(0);
    for (let i = 0; i < n; i++) counts[(word[i]! >>> shift) & MASK]!++;
    if (n === 0 || counts[(word[0]! >>> shift) & MASK] === n) continue;
    let position = 0;
    for (let digit = 0; digit < counts.length; digit++) {
      const count = counts[digit]!;
      counts[digit] = position;
      position += count;
    }
    for (let i = 0; i < n; i++) {
      const row = order[i]!;
      spare[counts[(word[row]! >>> shift) & MASK]!++] = row;
    }
    [order, spare] = [spare, order];
  }
  return order;
}

/** Stable order of rows by a small non-negative integer key, taking them in the given order. */
export function orderByKey(keys: Int32Array, keyCount: number, given: Uint32Array): Uint32Array {
  const next = new Uint32Array(keyCount + 1);
  for (let i = 0; i < given.length; i++) next[keys[given[i]!]! + 1]!++;
  for (let key = 0; key < keyCount; key++) next[key + 1]! += next[key]!;
  const order = new Uint32Array(given.length);
  for (let i = 0; i < given.length; i++) {
    const row = given[i]!;
    order[next[keys[row]!]!++] = row;
  }
  return order;
}
