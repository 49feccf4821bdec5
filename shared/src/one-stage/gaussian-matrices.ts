import { packedIndex, packedLength } from '../linalg/symmetric.ts';

/** Small full matrices by rows, for the gaussian one-stage model. */

/** AB for A rows × inner and B inner × columns; zeros of A cost nothing. */
export function multiply(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k]!;
      if (factor === 0) continue;
      for (let j = 0; j < columns; j++) out[i * columns + j]! += factor * b[k * columns + j]!;
    }
  }
  return out;
}

/** The packed lower triangle of a full matrix. */
export function pack(full: Float64Array, order: number): Float64Array {
  const packed = new Float64Array(packedLength(order));
  for (let i = 0; i < order; i++)
    for (let j = 0; j <= i; j++) packed[packedIndex(i, j)] = full[i * order + j]!;
  return packed;
}

/** The full matrix of a packed lower triangle. */
export function unpack(packed: Float64Array, order: number): Float64Array {
  const full = new Float64Array(order * order);
  for (let i = 0; i < order; i++)
    for (let j = 0; j < order; j++) full[i * order + j] = packed[packedIndex(i, j)]!;
  return full;
}

/** Adds to (i, j) and (j, i). */
export function add(matrix: Float64Array, size: number, i: number, j: number, value: number): void {
  matrix[i * size + j]! += value;
  if (i !== j) matrix[j * size + i]! += value;
}

/** L⁻¹B, L packed. */
export function forward(l: Float64Array, b: Float64Array, rows: number, columns: number): Float64Array {
  const x = b.slice();
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < i; k++) {
      const factor = l[packedIndex(i, k)]!;
      for (let j = 0; j < columns; j++) x[i * columns + j]! -= factor * x[k * columns + j]!;
    }
    const pivot = l[packedIndex(i, i)]!;
    for (let j = 0; j < columns; j++) x[i * columns + j]! /= pivot;
  }
  return x;
}

export function columnsOf(
  a: Float64Array,
  positions: readonly number[],
  rows: number,
  m: number,
): Float64Array {
  return block(
    a,
    Array.from({ length: rows }, (_, i) => i),
    positions,
    m,
  );
}

export function block(
  a: Float64Array,
  rows: readonly number[],
  columns: readonly number[],
  m: number,
): Float64Array {
  const out = new Float64Array(rows.length * columns.length);
  rows.forEach((i, k) => columns.forEach((j, l) => (out[k * columns.length + l] = a[i * m + j]!)));
  return out;
}

export function transposeOf(a: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j]!;
  return out;
}

/** A'B for A inner × rows and B inner × columns. */
export function transposeMultiply(
  a: Float64Array,
  b: Float64Array,
  inner: number,
  rows: number,
  columns: number,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let k = 0; k < inner; k++) {
    for (let i = 0; i < rows; i++) {
      const factor = a[k * rows + i]!;
      for (let j = 0; j < columns; j++) out[i * columns + j]! += factor * b[k * columns + j]!;
    }
  }
  return out;
}

/** AB' for A rows × inner and B columns × inner. */
export function multiplyTranspose(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += a[i * inner + k]! * b[j * inner + k]!;
      out[i * columns + j] = sum;
    }
  }
  return out;
}

export function plus(a: Float64Array, factor: number, b: Float64Array): Float64Array {
  return b.map((value, k) => value + factor * a[k]!);
}

export function subtract(a: Float64Array, b: Float64Array): void {
  for (let k = 0; k < a.length; k++) a[k]! -= b[k]!;
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}

export function traceOf(a: Float64Array, order: number): number {
  let sum = 0;
  for (let i = 0; i < order; i++) sum += a[i * order + i]!;
  return sum;
}

/** tr(AB). */
export function traceProduct(a: Float64Array, b: Float64Array, order: number): number {
  let sum = 0;
  for (let i = 0; i < order; i++)
    for (let j = 0; j < order; j++) sum += a[i * order + j]! * b[j * order + i]!;
  return sum;
}

/** The first columns of the first rows of a matrix with `width` columns. */
export function leading(a: Float64Array, rows: number, columns: number, width: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[i * columns + j] = a[i * width + j]!;
  return out;
}
