/**
 * A large study's log-likelihood over all cores: its rows in parts, one here and one in each further thread, the sum of
 * whose log-likelihoods is the study's, as the sum over studies is the federation's. Used by a worker, which waits for
 * the others while it has nothing else to do.
 */
import { availableParallelism } from 'node:os';
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';

import type { Scaling } from '@concordat/shared/models/blocks.ts';
import type { ConditionalObjective, Expansion } from '@concordat/shared/models/conditional.ts';
import { conditional } from '@concordat/shared/models/expansion.ts';
import { families } from '@concordat/shared/models/registry.ts';
import { rowsOf } from '@concordat/shared/models/standardise.ts';
import type { Evaluation, ModelOptions, Objective, StudyData } from '@concordat/shared/models/types.ts';

/** Fewer rows are not worth a thread: a pass over them is shorter than the way there and back. */
const LEAST_ROWS = 100_000;

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
      readonly data: StudyData;
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

/** Of each call: what is to be added. Null where the thread failed. */
export type ShardAnswer = Evaluation | Expansion | null;

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
  return Array.from({ length: availableParallelism() - 1 }, () => {
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

/** The family's objective over the study's rows: in parts where there are many rows and further cores, in one elsewhere. */
export function objectiveOf(data: StudyData, options: ModelOptions, scaling: Scaling | null): Objective {
  const family = families[options.family];
  if (data.n < LEAST_ROWS || availableParallelism() < 2 || !BY_ROWS.includes(options.family))
    return family.objective(data, options, scaling);
  threads ??= startThreads();
  const parts = threads.length + 1;
  const size = Math.ceil(data.n / parts);
  const part = (k: number): StudyData => rowsOf(data, k * size, Math.min(data.n, (k + 1) * size));
  const id = nextId++;
  threads.forEach(({ port }, k) => {
    const call: ShardCall = { method: 'open', id, data: part(k + 1), options, scaling };
    port.postMessage(call);
  });
  const own = family.objective(part(0), options, scaling);
  const whole = summed('expand' in own ? (own as ConditionalObjective) : conditional(own), id, threads);
  closing.register(whole, id);
  return whole;
}

function summed(own: ConditionalObjective, id: number, others: readonly Thread[]): ConditionalObjective {
  const send = (call: ShardCall): void => others.forEach(({ port }) => port.postMessage(call));
  const gather = <T extends Evaluation>(out: T, add: (answer: T) => void): void => {
    for (const thread of others) {
      const answer = receive(thread) as T | null;
      if (answer === null) throw new Error('a thread of the fit failed');
      out.value += answer.value;
      addTo(out.gradient, answer.gradient);
      addTo(out.hessian, answer.hessian);
      add(answer);
    }
  };
  return {
    parameters: own.parameters,
    evaluate(theta, order, out): void {
      send({ method: 'evaluate', id, theta, order });
      own.evaluate(theta, order, out);
      gather(out, () => undefined);
    },
    expand(theta, directions, order, out): void {
      send({ method: 'expand', id, theta, directions, order });
      own.expand(theta, directions, order, out);
      gather<Expansion>(out, (answer) => {
        answer.third.forEach((matrix, a) => addTo(out.third[a]!, matrix));
        if (order === 2) answer.fourth.forEach((matrix, a) => addTo(out.fourth[a]!, matrix));
      });
    },
    along(theta, directions): Objective {
      send({ method: 'plane', id, theta, directions });
      const plane = own.along(theta, directions);
      return {
        parameters: plane.parameters,
        evaluate(c, order, out): void {
          send({ method: 'along', id, c, order });
          plane.evaluate(c, order, out);
          gather(out, () => undefined);
        },
      };
    },
  };
}

/** Waits for the thread's next answer. */
function receive({ port, signal }: Thread): ShardAnswer {
  for (;;) {
    const seen = Atomics.load(signal, 0);
    const received: { readonly message: ShardAnswer } | undefined = receiveMessageOnPort(port);
    if (received !== undefined) return received.message;
    Atomics.wait(signal, 0, seen);
  }
}

function addTo(sum: Float64Array, term: Float64Array): void {
  for (let k = 0; k < sum.length; k++) sum[k]! += term[k]!;
}
