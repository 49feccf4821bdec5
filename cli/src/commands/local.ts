import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expandPlan, undeclaredFactors } from '@concordat/shared/plan/expand.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';
import type { Result } from '@concordat/shared/plan/result-types.ts';

import { readText } from '@concordat/coordinator/process.ts';
import { endFederation, prepare, type LocalArguments } from '../local/prepare.ts';
import { agentGroups, supervise } from '../local/supervise.ts';
import { exitStatus } from '../outcome.ts';
import { progressPrinter, type Print } from '../progress.ts';

export async function local(options: LocalArguments & { readonly json?: boolean }): Promise<0 | 3> {
  return runLocal(options, progressPrinter({ json: options.json === true }));
}

export async function runLocal(args: LocalArguments, print: Print): Promise<0 | 3> {
  const planText = readText(args.plan, 'plan/unreadable');
  const plan = parsePlan(planText, args.plan);
  if (undeclaredFactors(plan).length === 0) expandPlan(plan, {});
  const federation = await prepare(args, planText);
  print({
    event: 'prepared',
    studies: federation.agentConfigs.length,
    processes: agentGroups(federation.agentConfigs).length,
  });
  await supervise(federation, args, print);
  const result = JSON.parse(readFileSync(join(args.out, 'result.json'), 'utf8')) as Result;
  endFederation(federation, args.out);
  print({
    event: 'result',
    out: args.out,
    log: `${args.out}/log/`,
    result,
    problems: problemsIn(join(args.out, 'log', 'agents.log')),
  });
  return exitStatus(result);
}

/** What the agents told their operators of records that do not fit the plan: here, operator and statistician are one. */
function problemsIn(log: string): readonly string[] {
  const told = readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        const { study, level, detail } = JSON.parse(line) as {
          study?: string;
          level?: number;
          detail?: string;
        };
        return level === 50 && study !== undefined && detail !== undefined ? [`${study}: ${detail}`] : [];
      } catch {
        // Not a line of the log, such as the last words of a process.
        return [];
      }
    });
  return [...new Set(told)];
}
