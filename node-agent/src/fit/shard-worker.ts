/** A thread that holds parts of studies' rows and evaluates their log-likelihoods for the worker that started it. */
import { workerData, type MessagePort } from 'node:worker_threads';

import type { ConditionalObjective } from '@concordat/shared/models/conditional.ts';
import { conditional, emptyExpansion } from '@concordat/shared/models/expansion.ts';
import { families } from '@concordat/shared/models/registry.ts';
import type { Objective } from '@concordat/shared/models/types.ts';
import { emptyEvaluation } from '@concordat/shared/numerics/newton.ts';

import type { ShardAnswer, ShardCall } from './shards.ts';

const { port, signal } = workerData as { readonly port: MessagePort; readonly signal: Int32Array };
const parts = new Map<number, { readonly objective: ConditionalObjective; plane: Objective | null }>();

/** Undefined: nothing is to be answered. */
function work(call: ShardCall): ShardAnswer | undefined {
  if (call.method === 'open') {
    const own = families[call.options.family].objective(call.data, call.options, call.scaling);
    const objective = 'expand' in own ? (own as ConditionalObjective) : conditional(own);
    parts.set(call.id, { objective, plane: null });
    return undefined;
  }
  if (call.method === 'close') {
    parts.delete(call.id);
    return undefined;
  }
  const part = parts.get(call.id)!;
  const { objective } = part;
  switch (call.method) {
    case 'evaluate': {
      const out = emptyEvaluation(objective.parameters);
      objective.evaluate(call.theta, call.order, out);
      return out;
    }
    case 'expand': {
      const out = emptyExpansion(objective.parameters, call.directions.length);
      objective.expand(call.theta, call.directions, call.order, out);
      return out;
    }
    case 'plane':
      part.plane = objective.along(call.theta, call.directions);
      return undefined;
    case 'along': {
      const out = emptyEvaluation(part.plane!.parameters);
      part.plane!.evaluate(call.c, call.order, out);
      return out;
    }
  }
}

port.on('message', (call: ShardCall) => {
  let answer: ShardAnswer | undefined;
  try {
    answer = work(call);
  } catch {
    // Whatever went wrong here says nothing outside this thread but that it did.
    answer = null;
  }
  if (answer === undefined) return;
  port.postMessage(answer);
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
});
