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
    .command('join')
    .description(
      "join a consortium: make this site's keys, get its certificate, and write a commented configuration",
    )
    .argument('<invitation>', 'the line that the consortium handed over; `-` reads it from standard input')
    .requiredOption('--dir <folder>', 'where to write keys and configuration; nothing there is overwritten')
    .option('--data <file>', "the trial's records")
    .option('--key-passphrase-file <file>', 'encrypt the keys with the passphrase in this file')
    .action(
      async (
        invitation: string,
        options: { readonly dir: string; readonly data?: string; readonly keyPassphraseFile?: string },
      ) => {
        await (await import('./commands/join.ts')).join(invitation, options);
      },
    );
  return program;
}
