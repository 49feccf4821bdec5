/**
 * Starts the processes of a federation on this machine and starts again what ends unexpectedly: every
 * process resumes from its own log or journal. All of them end with this one.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { ConcordatError } from '@concordat/shared/errors.ts';

import type { ProgressEvent } from '../progress.ts';
import type { Federation, LocalArguments } from './prepare.ts';

/** Beyond this many trials, agents share processes. */
const OWN_PROCESS_LIMIT = 16;
/** Times a process may end unexpectedly before the run is given up. */
const RESTARTS = 20;
/** Milliseconds given to an agent to end by itself. */
const PATIENCE = 2_000;

export function agentGroups(configs: readonly string[]): readonly (readonly string[])[] {
  if (configs.length <= OWN_PROCESS_LIMIT) return configs.map((config) => [config]);
  const groups: string[][] = Array.from({ length: 2 * availableParallelism() }, () => []);
  configs.forEach((config, i) => groups[i % groups.length]?.push(config));
  return groups.filter((group) => group.length > 0);
}

/** Resolves to the coordinator's exit status (0 or 3). */
export async function supervise(
  federation: Federation,
  args: LocalArguments,
  notify: (event: ProgressEvent) => void,
): Promise<number> {
  const source = join(import.meta.dirname, '..');
  let over = false;
  const children = new Set<ChildProcess>();
  const start = (argv: readonly string[], log: string): ChildProcess => {
    const output = openSync(join(federation.state, log), 'a', 0o600);
    const child = spawn(process.execPath, [...argv], {
      stdio: ['ignore', argv.includes('--json') ? 'pipe' : output, output, 'ipc'],
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(source, '../../.cache/compile'),
      },
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  const killAll = (): void => {
    over = true;
    for (const child of children) child.kill('SIGKILL');
  };
  process.once('SIGINT', () => {
    killAll();
    process.exit(130);
  });
  process.once('SIGTERM', () => {
    killAll();
    process.exit(143);
  });

  const lost = new Promise<never>((_, reject) => {
    const keep = (argv: readonly string[], name: string, log: string, left: number): void => {
      start(argv, log).once('exit', () => {
        if (over) return;
        if (left === 0) return reject(givenUp(name, join(federation.state, log)));
        notify({ event: 'restarted', what: name });
        keep(argv, name, log, left - 1);
      });
    };
    agentGroups(federation.agentConfigs).forEach((configs, i) => {
      keep(
        [join(source, 'local/agents.ts'), ...configs],
        `agent process ${i + 1}`,
        `agents-${i + 1}.log`,
        RESTARTS,
      );
    });
  });

  const coordinate = async (): Promise<number> => {
    for (let left = RESTARTS; ; left--) {
      const argv = [
        join(source, 'main.ts'),
        'coordinator',
        '--config',
        federation.coordinatorConfig,
        '--plan',
        args.plan,
        '--out',
        args.out,
        '--json',
      ];
      const child = start(argv, 'coordinator.log');
      const status = await followCoordinator(child, notify);
      // 3 is also the status of a failure of its own, which leaves no result.
      if (status === 0 || (status === 3 && existsSync(join(args.out, 'result.json')))) return status;
      if (status === 2 || status === 3 || left === 0)
        throw givenUp('the coordinator', join(federation.state, 'coordinator.log'));
      notify({ event: 'restarted', what: 'the coordinator' });
    }
  };
  try {
    const status = await Promise.race([coordinate(), lost]);
    over = true;
    await Promise.all([...children].map(endGently));
    return status;
  } finally {
    killAll();
  }
}

/** Passes the coordinator's progress on; resolves to its exit status, null where it was killed. */
function followCoordinator(
  child: ChildProcess,
  notify: (event: ProgressEvent) => void,
): Promise<number | null> {
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = parseEvent(line);
      // The result is read from its file by the caller.
      if (event !== null && event.event !== 'result') notify(event);
    });
  }
  return new Promise((resolve) => {
    child.once('close', resolve);
  });
}

/** Null for a line that a killed process left unfinished. */
function parseEvent(line: string): ProgressEvent | null {
  try {
    return JSON.parse(line) as ProgressEvent;
  } catch {
    return null;
  }
}

async function endGently(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, PATIENCE);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}

function givenUp(what: string, log: string): ConcordatError {
  return new ConcordatError('process/failed', `${what} ended and could not be started again`, {
    place: log,
    remedy: 'the file says why; give the same command again to go on where it stopped',
  });
}
