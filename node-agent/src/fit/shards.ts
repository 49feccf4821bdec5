/**
 * A large study's log-likelihood over all cores: its rows in parts, the sum of whose log-likelihoods is the study's, as
 * the sum over studies is the federation's. The parts are the same on every machine, and are added in their order, so
 * that an answer does not depend on the number of cores. Used by a worker, which waits for the others while it has
 * nothing else to do.
 */
import { availableParallelism } from 'node:os';
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';

import type { Scaling } from '@concordat/shared/models/blocks.ts';
import type { ConditionalObjective, Expansion } from '@concordat/shared/models/conditional.ts';
import { conditional, emptyExpansion } from '@concordat/shared/models/expansion.ts';
import { families } from '@concordat/shared/models/registry.ts';
import { rowsOf } from '@concordat/shared/models/standardise.ts';
import type { Evaluation, ModelOptions, Objective, StudyData } from '@concordat/shared/models/types.ts';
import { emptyEvaluation } from '@concordat/shared/numerics/newton.ts';

/** Fewer rows are not worth a thread: a pass over them is shorter than the way there and back. */
const LEAST_ROWS = 100_000;

const PARTS = 8;
/** A pass over a part is a matter of milliseconds: a thread that is silent so long is gone. Milliseconds. */
const LOST = 120_000;

/** Families whose log-likelihood is a sum over rows; a Cox model's risk sets are not. */
const BY_ROWS: readonly ModelOptions['family'][] = [
  'binomial',
  'poisson',
  'negative-binomial',
  'ordinal',
  'weibull',
  'piecewise-exponential',
  'royston-parmar',
];

export type ShardCall =
  | {
      readonly method: 'open';
      readonly id: number;
      /** This thread's parts, in order. */
      readonly parts: readonly StudyData[];
      readonly options: ModelOptions;
      readonly scaling: Scaling | null;
    }
  | { readonly method: 'close'; readonly id: number }
  | {
      readonly method: 'evaluate';
      readonly id: number;
      readonly theta: Float64Array;
      readonly order: 0 | 1 | 2;
    }
  | {
      readonly method: 'expand';
      readonly id: number;
      readonly theta: Float64Array;
      readonly directions: readonly Float64Array[];
      readonly order: 1 | 2;
    }
  | {
      readonly method: 'plane';
      readonly id: number;
      readonly theta: Float64Array;
      readonly directions: readonly Float64Array[];
    }
  | { readonly method: 'along'; readonly id: number; readonly c: Float64Array; readonly order: 0 | 1 | 2 };

/** Of each call: what is to be added, a part each. Null where the thread failed. */
export type ShardAnswer = readonly (Evaluation | Expansion)[] | null;

interface Thread {
  readonly port: MessagePort;
  /** Counts the thread's answers. */
  readonly signal: Int32Array;
}

let threads: readonly Thread[] | null = null;
let nextId = 0;
/** A study's parts go when its objective does. */
const closing = new FinalizationRegistry((id: number) => {
  const call: ShardCall = { method: 'close', id };
  threads?.forEach(({ port }) => port.postMessage(call));
});

function startThreads(): readonly Thread[] {
  return Array.from({ length: Math.min(availableParallelism(), PARTS) - 1 }, () => {
    const { port1, port2 } = new MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL('./shard-worker.ts', import.meta.url), {
      workerData: { port: port2, signal },
      transferList: [port2],
    });
    worker.unref();
    port1.unref();
    return { port: port1, signal };
  });
}

/** The family's objective over the study's rows: in parts where there are many rows, in one elsewhere. */
export function objectiveOf(data: StudyData, options: ModelOptions, scaling: Scaling | null): Objective {
  const family = families[options.family];
  if (data.n < LEAST_ROWS || !BY_ROWS.includes(options.family))
    return family.objective(data, options, scaling);
  threads ??= startThreads();
  const size = Math.ceil(data.n / PARTS);
  const parts = Array.from({ length: PARTS }, (_, k) =>
    rowsOf(data, Math.min(data.n, k * size), Math.min(data.n, (k + 1) * size)),
  );
  // The first parts stay here.
  const each = Math.ceil(PARTS / (threads.length + 1));
  const id = nextId++;
  threads.forEach(({ port }, k) => {
    const own = parts.slice((k + 1) * each, (k + 2) * each);
    const call: ShardCall = { method: 'open', id, parts: own, options, scaling };
    port.postMessage(call);
  });
  const own = parts.slice(0, each).map((part) => conditional(family.objective(part, options, scaling)));
  const whole = summed(own, id, threads);
  closing.register(whole, id);
  return whole;
}

function summed(
  own: readonly ConditionalObjective[],
  id: number,
  others: readonly Thread[],
): ConditionalObjective {
  const p = own[0]!.parameters;
  const send = (call: ShardCall): void => others.forEach(({ port }) => port.postMessage(call));
  /** The parts' answers in order, added up. */
  const gather = <T extends Evaluation>(out: T, mine: readonly T[], add: (answer: T) => void): void => {
    out.value = 0;
    out.gradient.fill(0);
    out.hessian.fill(0);
    const rest = others.flatMap((thread) => {
      const answer = receive(thread);
      if (answer === null) throw new Error('a thread of the fit failed');
      return answer as readonly T[];
    });
    for (const answer of [...mine, ...rest]) {
      out.value += answer.value;
      addTo(out.gradient, answer.gradient);
      addTo(out.hessian, answer.hessian);
      add(answer);
    }
  };
  return {
    parameters: p,
    evaluate(theta, order, out): void {
      send({ method: 'evaluate', id, theta, order });
      gather(out, evaluated(own, theta, order), () => undefined);
    },
    expand(theta, directions, order, out): void {
      send({ method: 'expand', id, theta, directions, order });
      const mine = expanded(own, theta, directions, order);
      for (const matrix of [...out.third, ...out.fourth]) matrix.fill(0);
      gather<Expansion>(out, mine, (answer) => {
        answer.third.forEach((matrix, a) => addTo(out.third[a]!, matrix));
        if (order === 2) answer.fourth.forEach((matrix, a) => addTo(out.fourth[a]!, matrix));
      });
    },
    along(theta, directions): Objective {
      send({ method: 'plane', id, theta, directions });
      const planes = own.map((part) => part.along(theta, directions));
      return {
        parameters: directions.length,
        evaluate(c, order, out): void {
          send({ method: 'along', id, c, order });
          gather(out, evaluated(planes, c, order), () => undefined);
        },
      };
    },
  };
}

/** Each part's evaluation. */
export function evaluated(
  parts: readonly Objective[],
  theta: Float64Array,
  order: 0 | 1 | 2,
): readonly Evaluation[] {
  return parts.map((part) => {
    const out = emptyEvaluation(part.parameters);
    part.evaluate(theta, order, out);
    return out;
  });
}

/** Each part's expansion. */
export function expanded(
  parts: readonly ConditionalObjective[],
  theta: Float64Array,
  directions: readonly Float64Array[],
  order: 1 | 2,
): readonly Expansion[] {
  return parts.map((part) => {
    const out = emptyExpansion(part.parameters, directions.length);
    part.expand(theta, directions, order, out);
    return out;
  });
}

/** Waits for the thread's next answer. */
function receive({ port, signal }: Thread): ShardAnswer {
  for (;;) {
    const seen = Atomics.load(signal, 0);
    const received: { readonly message: ShardAnswer } | undefined = receiveMessageOnPort(port);
    if (received !== undefined) return received.message;
    if (Atomics.wait(signal, 0, seen, LOST) === 'timed-out') return null;
  }
}

function addTo(sum: Float64Array, term: Float64Array): void {
  for (let k = 0; k < sum.length; k++) sum[k]! += term[k]!;
}
