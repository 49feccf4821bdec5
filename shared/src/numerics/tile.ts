import { packedLength } from '../linalg/symmetric.ts';

/**
 * Weighted crossproducts of a block of rows, X'WX and X'r, in WebAssembly with two-lane SIMD: the one loop
 * that nearly all fitting time goes into. Plain JavaScript spends it on bounds checks, at a third of the
 * speed.
 *
 * The block lies in the module's memory, column after column of BLOCK doubles: results, weights, residuals,
 * ones (twice, for the second column of a pair), then the p columns of X and one of padding. All objectives
 * share it: an evaluation runs to its end without giving way, and takes the views anew each time.
 */
export const BLOCK = 256;

const COLUMN_BYTES = BLOCK * 8;
const [WEIGHT, RESIDUAL, ONES, X] = [1, 2, 3, 5];
const PAGE = 65536;

export interface Workspace {
  /** Column j of the block at j·BLOCK. */
  readonly x: Float64Array;
  readonly weight: Float64Array;
  readonly residual: Float64Array;
}

/** Views for p columns; valid until the next call. */
export function workspace(p: number): Workspace {
  const missing = (X + p + 1) * COLUMN_BYTES - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
  const view = (column: number, columns: number) =>
    new Float64Array(memory.buffer, column * COLUMN_BYTES, columns * BLOCK);
  results = view(0, 1);
  view(ONES, 2).fill(1);
  return { x: view(X, p), weight: view(WEIGHT, 1), residual: view(RESIDUAL, 1) };
}

/** hessian −= X' diag(weight) X (packed lower triangle) over the block's rows. */
export function subtractInformation(
  p: number,
  rows: number,
  { weight }: Workspace,
  hessian: Float64Array,
): void {
  const end = pad(weight, rows, WEIGHT);
  for (let i = 0; i < p; i += 2) {
    const upper = packedLength(i);
    const lower = upper + i + 1;
    for (let j = 0; j <= i; j += 2) {
      tile((X + i) * COLUMN_BYTES, (X + j) * COLUMN_BYTES, WEIGHT * COLUMN_BYTES, end);
      hessian[upper + j]! -= results[0]!;
      if (j < i) hessian[upper + j + 1]! -= results[1]!;
      if (i + 1 < p) {
        hessian[lower + j]! -= results[2]!;
        hessian[lower + j + 1]! -= results[3]!;
      }
    }
  }
}

/** gradient += X'residual over the block's rows. */
export function addGradient(p: number, rows: number, { residual }: Workspace, gradient: Float64Array): void {
  const end = pad(residual, rows, RESIDUAL);
  for (let j = 0; j < p; j += 2) {
    tile((X + j) * COLUMN_BYTES, ONES * COLUMN_BYTES, RESIDUAL * COLUMN_BYTES, end);
    gradient[j]! += results[0]!;
    if (j + 1 < p) gradient[j + 1]! += results[2]!;
  }
}

/**
 * The loop takes four rows at a time: weights of 0 fill up the last four. Returns the address of their end.
 */
function pad(weights: Float64Array, rows: number, column: number): number {
  const padded = (rows + 3) & ~3;
  weights.fill(0, rows, padded);
  return column * COLUMN_BYTES + padded * 8;
}

/**
 * tile(a, b, w, end): with columns a₀, a₁ at addresses a and a + COLUMN_BYTES, b₀, b₁ likewise and weights
 * from w to end, writes Σ w a₀b₀, Σ w a₀b₁, Σ w a₁b₀, Σ w a₁b₁ to the results. Instructions: WebAssembly core
 * specification 2.0, §5.4.
 */
// oxfmt-ignore
function assemble(): Uint8Array<ArrayBuffer> {
  const unsigned = (value: number): number[] =>
    value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
  const get = (local: number) => [0x20, local];
  const set = (local: number) => [0x21, local];
  const load = (pointer: number, offset: number) => [...get(pointer), 0xfd, 0x00, 4, ...unsigned(offset)];
  const MUL = [0xfd, 0xf2, 0x01];
  const ADD = [0xfd, 0xf0, 0x01];
  const lane = (local: number, index: number) => [...get(local), 0xfd, 0x21, index];
  // Parameters, then v128 locals, which start at zero.
  const [a, b, w, end, s00, s01, s10, s11, v0, v1, u0, u1] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] as const;
  const accumulate = (sum: number, left: number, right: number) => [
    ...get(sum), ...get(left), ...get(right), ...MUL, ...ADD, ...set(sum),
  ];
  const twoRows = (offset: number) => [
    ...load(w, offset), ...load(b, offset), ...MUL, ...set(v0),
    ...load(w, offset), ...load(b, COLUMN_BYTES + offset), ...MUL, ...set(v1),
    ...load(a, offset), ...set(u0),
    ...load(a, COLUMN_BYTES + offset), ...set(u1),
    ...accumulate(s00, u0, v0), ...accumulate(s01, u0, v1),
    ...accumulate(s10, u1, v0), ...accumulate(s11, u1, v1),
  ];
  const advance = (pointer: number) => [...get(pointer), 0x41, 32, 0x6a, ...set(pointer)];
  const store = (sum: number, index: number) => [
    0x41, 0, ...lane(sum, 0), ...lane(sum, 1), 0xa0, 0x39, 3, index * 8,
  ];
  const body = [
    1, 8, 0x7b, // eight v128 locals
    0x03, 0x40, // loop
    ...twoRows(0), ...twoRows(16), ...advance(a), ...advance(b), ...advance(w),
    ...get(w), ...get(end), 0x49, 0x0d, 0, 0x0b, // while w < end
    ...store(s00, 0), ...store(s01, 1), ...store(s10, 2), ...store(s11, 3),
    0x0b,
  ];
  const section = (id: number, content: number[]) => [id, ...unsigned(content.length), ...content];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 0]), // (i32, i32, i32, i32) → ()
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]), // one page to begin with
    ...section(7, [2, ...name('tile'), 0, 0, ...name('memory'), 2, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
}

/** What of the WebAssembly interface is used; the type library that declares it is the browser's. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly tile: (a: number, b: number, w: number, end: number) => void;
      readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
    };
  };
};

const { tile, memory } = new WebAssembly.Instance(new WebAssembly.Module(assemble())).exports;
let results = new Float64Array(memory.buffer, 0, BLOCK);
