/** A thread that holds parts of studies' rows and evaluates their log-likelihoods for the worker that started it. */
import { workerData, type MessagePort } from 'node:worker_threads';

import type { ConditionalObjective } from '@concordat/shared/models/conditional.ts';
import { conditional } from '@concordat/shared/models/expansion.ts';
import { families } from '@concordat/shared/models/registry.ts';
import type { Objective } from '@concordat/shared/models/types.ts';

import { evaluated, expanded, type ShardAnswer, type ShardCall } from './shards.ts';

const { port, signal } = workerData as { readonly port: MessagePort; readonly signal: Int32Array };
const studies = new Map<
  number,
  { readonly parts: readonly ConditionalObjective[]; planes: readonly Objective[] }
>();

/** Undefined: nothing is to be answered. */
function work(call: ShardCall): ShardAnswer | undefined {
  switch (call.method) {
    case 'open': {
      const { options, scaling } = call;
      const family = families[options.family];
      const parts = call.parts.map((part) => conditional(family.objective(part, options, scaling)));
      studies.set(call.id, { parts, planes: [] });
      return undefined;
    }
    case 'close':
      studies.delete(call.id);
      return undefined;
    case 'evaluate':
      return evaluated(studies.get(call.id)!.parts, call.theta, call.order);
    case 'expand':
      return expanded(studies.get(call.id)!.parts, call.theta, call.directions, call.order);
    case 'plane': {
      const study = studies.get(call.id)!;
      study.planes = study.parts.map((part) => part.along(call.theta, call.directions));
      return undefined;
    }
    case 'along':
      return evaluated(studies.get(call.id)!.planes, call.c, call.order);
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
