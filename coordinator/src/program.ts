/** The coordinator's commands: `concordat coordinator …` at the command line, and the whole program in its container. */
import { Command } from 'commander';

export interface CoordinatorArguments {
  readonly config: string;
  readonly plan: string;
  readonly out: string;
  readonly json?: boolean;
}

/** `run`: what runs a plan, and shows its progress; resolves to the exit status. */
export function coordinatorProgram(
  name: string,
  run: (options: CoordinatorArguments) => Promise<void>,
): Command {
  const program = new Command(name).description(
    'run a plan over the enrolled sites: listens for their agents, combines what they release, and reports',
  );
  program
    .command('run', { isDefault: true })
    .description('run a plan; what `concordat coordinator --config … --plan … --out …` does by itself')
    .requiredOption('--config <file>', 'coordinator.yaml: address, certificates, keys, sites')
    .requiredOption('--plan <file>', 'the analysis plan (YAML)')
    .requiredOption('--out <folder>', 'where to write result.json, report.html and figures/')
    .option('--json', 'one JSON object a line on standard output, for machines')
    .action(run);
  program
    .command('health')
    .description(
      'ask the running coordinator whether it is alive, at the health endpoint of its configuration',
    )
    .option('--config <file>', 'coordinator.yaml', 'coordinator.yaml')
    .action(async ({ config }: { readonly config: string }) => {
      const { coordinatorHealth } = await import('./commands/health.ts');
      process.stdout.write(`${await coordinatorHealth(config)}\n`);
    });
  return program;
}
