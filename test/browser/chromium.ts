/** A headless Chromium spoken to by the DevTools protocol over two pipes: no port, no driver. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Writable } from 'node:stream';

type Json = Readonly<Record<string, unknown>>;
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly message: string };
}

export interface Page {
  /** Value of a JavaScript expression in the page; of a promise, what it comes to. */
  evaluate(expression: string): Promise<unknown>;
  /** Goes to a URL and waits until it has loaded. */
  visit(url: string): Promise<void>;
  /** Presses a key; where it leads to another page, `loads` waits until that has loaded. */
  press(key: 'Tab' | 'Enter' | 'Space', loads?: 'loads'): Promise<void>;
  /** Types into what has the focus. */
  type(text: string): Promise<void>;
  /** Lays the page out at this width in CSS pixels, in either colour scheme, on screen or as printed. */
  show(width: number, scheme?: 'light' | 'dark', media?: 'screen' | 'print'): Promise<void>;
  /** URLs that the page asked for, and what it wrote to the console or threw. */
  readonly requests: readonly string[];
  readonly complaints: readonly string[];
}

export interface Browser extends AsyncDisposable {
  /** Opens a URL and waits until it has loaded. */
  open(url: string): Promise<Page>;
}

const KEYS = {
  Tab: { key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 },
  Enter: { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' },
  Space: { key: ' ', code: 'Space', windowsVirtualKeyCode: 32, text: ' ' },
} as const;

const SWITCHES = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
];

export function startBrowser(): Browser {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
  const child = spawn('chromium', [...SWITCHES, `--user-data-dir=${profile}`], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  });
  const input = child.stdio[3] as Writable;
  const output = child.stdio[4] as Duplex;
  const waiting = new Map<number, PromiseWithResolvers<Json>>();
  const listeners = new Set<(message: Message) => void>();
  let last = 0;

  const fail = (error: Error): void => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  child.on('error', fail);
  child.on('exit', () => fail(new Error('Chromium ended')));
  let rest = '';
  output.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\0');
    rest = parts.pop()!;
    for (const message of parts.map((part) => JSON.parse(part) as Message)) {
      const answered = message.id === undefined ? undefined : waiting.get(message.id);
      if (answered === undefined) for (const listener of listeners) listener(message);
      else if (message.error === undefined) answered.resolve(message.result ?? {});
      else answered.reject(new Error(message.error.message));
    }
  });
  const send = (method: string, params: Json = {}, sessionId?: string): Promise<Json> => {
    const id = (last += 1);
    const answer = Promise.withResolvers<Json>();
    waiting.set(id, answer);
    input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return answer.promise.finally(() => waiting.delete(id));
  };

  return {
    async open(url) {
      const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
      const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
      const call = (method: string, params?: Json): Promise<Json> =>
        send(method, params, sessionId as string);
      const requests: string[] = [];
      const complaints: string[] = [];
      let loaded = Promise.withResolvers<void>();
      listeners.add(({ method, params = {}, sessionId: from }) => {
        if (from !== sessionId) return;
        if (method === 'Network.requestWillBeSent') requests.push((params['request'] as { url: string }).url);
        if (
          method === 'Log.entryAdded' ||
          method === 'Runtime.exceptionThrown' ||
          method === 'Runtime.consoleAPICalled'
        ) {
          complaints.push(JSON.stringify(params));
        }
        if (method === 'Page.loadEventFired') loaded.resolve();
      });
      for (const domain of ['Network', 'Log', 'Runtime', 'Page']) await call(`${domain}.enable`);
      const loading = async (act: () => Promise<unknown>): Promise<void> => {
        loaded = Promise.withResolvers<void>();
        await act();
        await loaded.promise;
      };
      const visit = (to: string): Promise<void> => loading(() => call('Page.navigate', { url: to }));
      await visit(url);
      return {
        visit,
        async press(key, loads) {
          const stroke = async (): Promise<void> => {
            await call('Input.dispatchKeyEvent', { type: 'keyDown', ...KEYS[key] });
            await call('Input.dispatchKeyEvent', { type: 'keyUp', ...KEYS[key] });
          };
          await (loads === undefined ? stroke() : loading(stroke));
        },
        async type(text) {
          await call('Input.insertText', { text });
        },
        requests,
        complaints,
        async evaluate(expression) {
          const { result, exceptionDetails } = await call('Runtime.evaluate', {
            expression,
            returnByValue: true,
            awaitPromise: true,
          });
          if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
          return (result as Json)['value'];
        },
        async show(width, scheme = 'light', media = 'screen') {
          await call('Emulation.setDeviceMetricsOverride', {
            width,
            height: 900,
            deviceScaleFactor: 1,
            mobile: false,
          });
          const features = [{ name: 'prefers-color-scheme', value: scheme }];
          await call('Emulation.setEmulatedMedia', { media, features });
        },
      };
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      send('Browser.close').catch(() => child.kill());
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
