/** The agent's commands: `concordat agent …` at the command line, and the whole program in the agent's container. */
import { Command } from 'commander';

/** A command's own code is loaded when it is called: an agent that serves does not carry the others'. */
export function agentProgram(name: string): Command {
  const program = new Command(name).description(
    "serve one trial's records to the coordinator, through this site's own agreement, disclosure rules and log",
  );
  program
    .command('serve', { isDefault: true })
    .description('serve until stopped; what `concordat agent --config …` does by itself')
    .requiredOption('--config <file>', 'agent.yaml: coordinator, certificates, keys, data, agreement, log')
    .action(async ({ config }: { readonly config: string }) => {
      const { serveAgents } = await import('./serve.ts');
      await serveAgents([config], { local: false });
    });
  program
    .command('health')
    .description('ask the running agent whether it is alive, at the health endpoint of its configuration')
    .option('--config <file>', 'agent.yaml', 'agent.yaml')
    .action(async ({ config }: { readonly config: string }) => {
      const { agentHealth } = await import('./commands/health.ts');
      process.stdout.write(`${await agentHealth(config)}\n`);
    });
  return program;
}
