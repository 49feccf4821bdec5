import {
  absolute,
  add,
  addBits,
  advance,
  and,
  assemble,
  atLeast,
  constant,
  div,
  get,
  larger,
  load,
  mul,
  set,
  shiftLeft,
  splat,
  store,
  storeLanes,
  storeSum,
  sub,
  whileBelow,
  xor,
  type Code,
  type Kernel,
} from './wasm.ts';

/**
 * Rows of a block: enough that memory is read in long runs, few enough that ten columns stay in the second-level
 * cache and that 2 to the power of half of them is a double; and not a multiple of a page of 512, so that the
 * columns of a row do not share the places of the first-level cache.
 */
export const BLOCK = 2040;
export const COLUMN_BYTES = BLOCK * 8;

/** Locals of a kernel by name, in order. */
const locals = <Name extends string>(...names: readonly Name[]): Readonly<Record<Name, number>> =>
  Object.fromEntries(names.map((name, index) => [name, index])) as Record<Name, number>;

const tile = (weighted: boolean): Kernel => {
  const { a, b, w, end, b0, b1, column, ...rest } = locals(
    ...(['a', 'b', 'w', 'end', 'b0', 'b1', 'column'] as const),
    ...(['s00', 's01', 's10', 's11', 's20', 's21', 's30', 's31'] as const),
  );
  const sums = Object.values(rest);
  const accumulate = (sum: number, other: number) => set(sum, add(get(sum), mul(get(column), get(other))));
  const twoRows = (offset: number): Code => [
    [b0, b1].map((local, j) => {
      const value = load(b, j * COLUMN_BYTES + offset);
      return set(local, weighted ? mul(load(w, offset), value) : value);
    }),
    [0, 1, 2, 3].map((i) => [
      set(column, load(a, i * COLUMN_BYTES + offset)),
      accumulate(sums[2 * i]!, b0),
      accumulate(sums[2 * i + 1]!, b1),
    ]),
  ];
  return {
    name: weighted ? 'weightedTile' : 'tile',
    parameters: ['i32', 'i32', 'i32', 'i32'],
    vectors: 11,
    body: [
      whileBelow(w, end, [twoRows(0), twoRows(16), advance(a, 32), advance(b, 32), advance(w, 32)]),
      sums.map((sum, index) => storeSum(index, sum)),
    ],
  };
};

const products = ((): Kernel => {
  const { a, w, end, weight, ...rest } = locals('a', 'w', 'end', 'weight', 's0', 's1', 's2', 's3');
  const sums = Object.values(rest);
  return {
    name: 'products',
    parameters: ['i32', 'i32', 'i32'],
    vectors: 5,
    body: [
      whileBelow(w, end, [
        set(weight, load(w)),
        sums.map((sum, i) => set(sum, add(get(sum), mul(load(a, i * COLUMN_BYTES), get(weight))))),
        advance(a, 16),
        advance(w, 16),
      ]),
      sums.map((sum, index) => storeSum(index, sum)),
    ],
  };
})();

const standardise = (predicts: boolean): Kernel => {
  const { x, end, centre, factor, eta, theta, c, f, t, z } = locals(
    ...(['x', 'end', 'centre', 'factor', 'eta', 'theta', 'c', 'f', 't', 'z'] as const),
  );
  return {
    name: predicts ? 'predict' : 'standardise',
    parameters: ['i32', 'i32', 'f64', 'f64', 'i32', 'f64'],
    vectors: 4,
    body: [
      set(c, splat(get(centre))),
      set(f, splat(get(factor))),
      set(t, splat(get(theta))),
      whileBelow(x, end, [
        set(z, mul(sub(load(x), get(c)), get(f))),
        store(x, get(z)),
        predicts ? [store(eta, add(load(eta), mul(get(t), get(z)))), advance(eta, 16)] : [],
        advance(x, 16),
      ]),
    ],
  };
};

const subtract = ((): Kernel => {
  const { from, end, what, squares, r } = locals('from', 'end', 'what', 'squares', 'r');
  return {
    name: 'subtract',
    parameters: ['i32', 'i32', 'i32'],
    vectors: 2,
    body: [
      whileBelow(from, end, [
        set(r, sub(load(from), load(what))),
        store(from, get(r)),
        set(squares, add(get(squares), mul(get(r), get(r)))),
        advance(from, 16),
        advance(what, 16),
      ]),
      storeSum(0, squares),
    ],
  };
})();

/**
 * exp(t) for t ≤ 0 (as exp(−708), about 10⁻³⁰⁸, below that): t = k·ln 2 + r, |r| ≤ ½ln 2, and
 * exp(r) = 1 + r + rc/(2 − c), c = r − r²(P₁ + P₂r² + … + P₅r⁸); within a unit in the last place (fdlibm,
 * e_exp.c). Adding 1.5·2⁵² rounds t/ln 2 to k, whose bits then are the sum's lowest, and go to the exponent.
 */
const P = [
  1.66666666666666019037e-1, -2.77777777770155933842e-3, 6.61375632143793436117e-5, -1.6533902205465251539e-6,
  4.13813679705723846039e-8,
] as const;
const ROUND = 1.5 * 2 ** 52;
const LN2_HIGH = 6.9314718036912381649e-1;
const LN2_LOW = 1.90821492927058770002e-10;
const SMALLEST = -708;

const logistic = ((): Kernel => {
  const { eta, y, end, residual, weight, ...rest } = locals(
    ...(['eta', 'y', 'end', 'residual', 'weight', 'product', 'linear'] as const),
    ...(['h', 't', 'k', 'high', 'low', 'r', 'squared', 'c', 'e', 'above', 'below', 'positive', 'd'] as const),
    ...(['zero', 'one', 'two', 'sign', 'smallest', 'round', 'log2e', 'ln2High', 'ln2Low'] as const),
    ...(['p1', 'p2', 'p3', 'p4', 'p5'] as const),
  );
  const { product, linear, h, t, k, high, low, r, squared, c, e, above, below, positive, d } = rest;
  const { zero, one, two, sign, smallest, round, log2e, ln2High, ln2Low, p1, p2, p3, p4, p5 } = rest;
  // Constants are kept in locals: inside the loop they would be made anew each time.
  const constants = [
    set(one, constant(1)),
    set(two, constant(2)),
    set(sign, constant(-0)),
    set(smallest, constant(SMALLEST)),
    set(round, constant(ROUND)),
    set(log2e, constant(Math.LOG2E)),
    set(ln2High, constant(LN2_HIGH)),
    set(ln2Low, constant(LN2_LOW)),
    [p1, p2, p3, p4, p5].map((p, index) => set(p, constant(P[index]!))),
  ];
  const polynomial = [p4, p3, p2, p1].reduce((sum, p) => add(mul(sum, get(squared)), get(p)), get(p5));
  const negative = (a: Code) => xor(a, get(sign));
  return {
    name: 'logistic',
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32'],
    vectors: 29,
    body: [
      constants,
      set(product, get(one)),
      whileBelow(eta, end, [
        set(h, load(eta)),
        // e = exp(t), t = −|η|
        set(t, larger(negative(absolute(get(h))), get(smallest))),
        set(k, add(mul(get(t), get(log2e)), get(round))),
        set(low, sub(get(k), get(round))),
        set(high, sub(get(t), mul(get(low), get(ln2High)))),
        set(low, mul(get(low), get(ln2Low))),
        set(r, sub(get(high), get(low))),
        set(squared, mul(get(r), get(r))),
        set(c, sub(get(r), mul(get(squared), polynomial))),
        set(c, div(mul(get(r), get(c)), sub(get(two), get(c)))),
        set(e, sub(get(one), sub(sub(get(low), get(c)), get(high)))),
        set(e, addBits(get(e), shiftLeft(get(k), 52))),
        // The larger and the smaller of μ and 1 − μ.
        set(above, div(get(one), add(get(one), get(e)))),
        set(below, mul(get(e), get(above))),
        store(weight, mul(get(below), get(above))),
        set(product, mul(get(product), add(get(one), get(e)))),
        // y − μ is y − 1 + (1 − μ) where η ≥ 0.
        set(positive, atLeast(get(h), get(zero))),
        set(d, sub(load(y), and(get(positive), get(one)))),
        store(residual, add(get(d), xor(negative(get(below)), and(get(positive), get(sign))))),
        set(linear, add(get(linear), mul(get(d), get(h)))),
        [eta, y, residual, weight].map((pointer) => advance(pointer, 16)),
      ]),
      storeSum(0, linear),
      storeLanes(1, product),
    ],
  };
})();

/** What of the WebAssembly interface is used; the type library that declares it is the browser's. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => { readonly exports: Kernels };
};

/** Addresses are bytes in `memory`; scalar results are at its beginning. Loops end at `end`, past one step at least. */
export interface Kernels {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  /**
   * With columns aᵢ at a + i·COLUMN_BYTES, i < 4, and bⱼ likewise, j < 2, and weights from w to end (four rows a
   * step): Σ w aᵢbⱼ at 2i + j.
   */
  readonly weightedTile: (a: number, b: number, w: number, end: number) => void;
  /** As `weightedTile` with all weights 1: nothing is read from w to end. */
  readonly tile: (a: number, b: number, w: number, end: number) => void;
  /** Σ w aᵢ at i < 4 (two rows a step). */
  readonly products: (a: number, w: number, end: number) => void;
  /** x ← (x − centre)·factor (two rows a step); eta and theta are not used. */
  readonly standardise: (
    x: number,
    end: number,
    centre: number,
    factor: number,
    eta: number,
    theta: number,
  ) => void;
  /** As `standardise`, and eta ← eta + theta·x. */
  readonly predict: (
    x: number,
    end: number,
    centre: number,
    factor: number,
    eta: number,
    theta: number,
  ) => void;
  /** from ← from − what (two rows a step); Σ from² at 0. */
  readonly subtract: (from: number, end: number, what: number) => void;
  /**
   * Of 0/1 outcomes y and linear predictors η from eta to end (two rows a step): residuals y − μ, weights
   * μ(1 − μ), Σ (y − [η ≥ 0])η at 0, and at 1 and 2 factors of ∏ (1 + exp(−|η|)).
   */
  readonly logistic: (eta: number, y: number, end: number, residual: number, weight: number) => void;
}

export const kernels: Kernels = new WebAssembly.Instance(
  new WebAssembly.Module(
    assemble([tile(true), tile(false), products, standardise(false), standardise(true), subtract, logistic]),
  ),
).exports;
