/**
 * A small assembler for loops over doubles in WebAssembly with two-lane SIMD, written as nested expressions.
 * Instructions: WebAssembly core specification 2.0, §5.4.
 */

/** Instructions, in order; those with a result leave it on the stack. */
export type Code = number | readonly Code[];

export interface Kernel {
  readonly name: string;
  /** Parameters are locals 0, 1, …: addresses in bytes (i32) or doubles (f64). */
  readonly parameters: readonly ('i32' | 'f64')[];
  /** Number of two-lane locals, which follow the parameters and start at zero. */
  readonly vectors: number;
  readonly body: Code;
}

const simd = (opcode: number): Code => [0xfd, unsigned(opcode)];
const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, simd(opcode)];

export const get = (local: number): Code => [0x20, local];
export const set = (local: number, value: Code): Code => [value, 0x21, local];
/** Both lanes of a scalar. */
export const splat = (scalar: Code): Code => [scalar, simd(0x14)];
/** Both lanes of a constant. */
export const constant = (value: number): Code => splat([0x44, bytes(value)]);
/** The two doubles at an address held by a local, plus an offset in bytes. */
export const load = (pointer: number, offset = 0): Code => [get(pointer), simd(0x00), 4, unsigned(offset)];
export const store = (pointer: number, value: Code): Code => [get(pointer), value, simd(0x0b), 4, 0];

export const add = binary(0xf0);
export const sub = binary(0xf1);
export const mul = binary(0xf2);
export const div = binary(0xf3);
/** The larger; the first where either is NaN. */
export const larger = binary(0xf7);
/** All bits of a lane set where a ≥ b. */
export const atLeast = binary(0x4c);
export const and = binary(0x4e);
export const xor = binary(0x51);
export const addBits = binary(0xce);
export const absolute = (a: Code): Code => [a, simd(0xec)];
export const shiftLeft = (a: Code, bits: number): Code => [a, 0x41, bits, simd(0xcb)];

/** Adds a number of bytes (below 64) to an address held by a local. */
export const advance = (pointer: number, count: number): Code =>
  set(pointer, [get(pointer), 0x41, count, 0x6a]);
/** Runs the body at least once, and again while one address is below another. */
export const whileBelow = (pointer: number, end: number, body: Code): Code => [
  [0x03, 0x40, body],
  [get(pointer), get(end), 0x49, 0x0d, 0, 0x0b],
];

const lane = (local: number, index: number): Code => [get(local), simd(0x21), index];
const storeScalar = (position: number, value: Code): Code => [
  0x41,
  0,
  value,
  0x39,
  3,
  unsigned(position * 8),
];
/** Writes the sum of a vector's lanes to the double at a position of the memory's beginning. */
export const storeSum = (position: number, local: number): Code =>
  storeScalar(position, [lane(local, 0), lane(local, 1), 0xa0]);
/** Writes both lanes, one after the other. */
export const storeLanes = (position: number, local: number): Code => [
  storeScalar(position, lane(local, 0)),
  storeScalar(position + 1, lane(local, 1)),
];

/** A module that exports the kernels and its `memory`, of one page to begin with. */
export function assemble(kernels: readonly Kernel[]): Uint8Array<ArrayBuffer> {
  const list = (items: readonly Code[]): Code => [unsigned(items.length), items];
  const sized = (content: Code): Code => [unsigned(flat(content).length), content];
  const name = (text: string): Code => sized([...new TextEncoder().encode(text)]);
  const type = ({ parameters }: Kernel): Code => [
    0x60,
    list(parameters.map((kind) => (kind === 'i32' ? 0x7f : 0x7c))),
    0,
  ];
  const code = ({ vectors, body }: Kernel): Code => sized([1, vectors, 0x7b, body, 0x0b]);
  const section = (id: number, content: Code): Code => [id, sized(content)];
  const exports = kernels.map((kernel, index): Code => [name(kernel.name), 0, index]);
  return Uint8Array.from(
    flat([
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, list(kernels.map(type))),
      section(3, list(kernels.map((_, index) => index))),
      section(5, [1, 0, 1]),
      section(7, list([[name('memory'), 2, 0], ...exports])),
      section(10, list(kernels.map(code))),
    ]),
  );
}

function flat(code: Code): number[] {
  return typeof code === 'number' ? [code] : code.flatMap(flat);
}

function bytes(double: number): Code {
  return [...new Uint8Array(Float64Array.of(double).buffer)];
}

function unsigned(value: number): Code {
  return value < 0x80 ? value : [(value & 0x7f) | 0x80, unsigned(value >>> 7)];
}
