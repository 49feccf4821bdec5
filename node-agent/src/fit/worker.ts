/** Worker thread: one question in, one answer out. */
import { flushCompileCache } from 'node:module';
import { parentPort } from 'node:worker_threads';

import type { StudyQuestion } from './draft.ts';
import { answer } from './study.ts';

parentPort?.on('message', (message: { readonly id: number; readonly question: StudyQuestion }) => {
  answer(message.question).then(
    (value) => parentPort?.postMessage({ id: message.id, value }),
    // Whatever went wrong here says nothing outside this thread but that it did.
    () => parentPort?.postMessage({ id: message.id, value: null }),
  );
});

// A thread that is stopped keeps no cache; the next one starts faster with what this one compiled.
flushCompileCache();
