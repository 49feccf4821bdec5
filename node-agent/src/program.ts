/** The agent's commands: `concordat agent …` at the command line, and the whole program in the agent's container. */
import { Command, Option } from 'commander';

import type { Common, Signing } from './commands/custodian.ts';
import { OBJECTIONS, type ObjectionName } from './custodian/desk.ts';

const CONFIG = ['--config <file>', 'agent.yaml of the site', 'agent.yaml'] as const;

/** What a custodian does: look, decide, sign. */
function custodianCommands(program: Command): void {
  const code = (): Promise<typeof import('./commands/custodian.ts')> => import('./commands/custodian.ts');
  const looking = (name: string, what: string): Command =>
    program
      .command(name)
      .description(what)
      .option(...CONFIG);
  const signing = (name: string, what: string): Command =>
    looking(name, what)
      .option('--as <name>', 'which custodian signs; the only one that has a key here, where left out')
      .option(
        '--passphrase-file <file>',
        'file that holds the passphrase of the key; asked for where left out',
      )
      .option('--note <text>', "a note for this site's own log; it does not leave");

  looking('plans', 'the plans that were offered, in plain words, and how they stand').action(
    async (options: Common) => (await code()).plans(options),
  );
  looking('preview', 'what this site would send first for a plan; nothing is sent')
    .argument('<digest>', "first digits of the plan's digest")
    .action(async (digest: string, options: Common) => (await code()).preview(digest, options));
  signing('approve', 'let a plan run here')
    .argument('<digest>', "first digits of the plan's digest")
    .action(async (digest: string, options: Signing) => (await code()).approve(digest, options));
  signing('refuse', 'refuse a plan, or take this site out of one that runs')
    .argument('<digest>', "first digits of the plan's digest")
    .addOption(
      new Option('--objection <what>', 'what the coordinator is told')
        .choices([...OBJECTIONS])
        .makeOptionMandatory(),
    )
    .action(async (digest: string, options: Signing & { readonly objection: ObjectionName }) =>
      (await code()).refuse(digest, options),
    );
  looking('releases', 'answers that wait for you, exactly as they would leave').action(
    async (options: Common) => (await code()).releases(options),
  );
  signing('release', 'let an answer leave')
    .argument('<task>', "first digits of the answer's task")
    .action(async (task: string, options: Signing) => (await code()).release(task, options));
  signing('withhold', 'keep an answer back')
    .argument('<task>', "first digits of the answer's task")
    .action(async (task: string, options: Signing) => (await code()).withhold(task, options));
  looking('custodian', "make a custodian's key, and name it in the agreement")
    .argument('<name>', "the custodian's name")
    .option(
      '--passphrase-file <file>',
      'file that holds the passphrase to seal the key with; asked for where left out',
    )
    .action(async (name: string, options: Common & { readonly passphraseFile?: string }) =>
      (await code()).custodian(name, options),
    );
}

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

  custodianCommands(program);
  return program;
}
