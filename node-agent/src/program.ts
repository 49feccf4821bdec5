/** The agent's commands: `concordat agent …` at the command line, and the whole program in the agent's container. */
import { Command } from 'commander';

import type { AgreementPlace } from './commands/agreement.ts';

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
  addAgreement(program);
  return program;
}

function addAgreement(program: Command): void {
  const agreement = program
    .command('agreement')
    .description('check, explain or begin the agreement under which this agent answers; nothing is sent');
  agreement
    .command('check')
    .description('list every fault with its line and remedy (exit status 2), and what is unusual')
    .option('--config <file>', 'agent.yaml: agreement, records, map', 'agent.yaml')
    .option('--file <file>', 'an agreement.yaml by itself, not held against records')
    .action(async (place: AgreementPlace) => {
      const { agreementCheck } = await import('./commands/agreement.ts');
      print(await agreementCheck(place, new Date()));
    });
  agreement
    .command('explain')
    .description('say in plain language what the agreement allows, and what it does not')
    .option('--config <file>', 'agent.yaml', 'agent.yaml')
    .option('--file <file>', 'an agreement.yaml by itself')
    .action(async (place: AgreementPlace) => {
      const { agreementExplain } = await import('./commands/agreement.ts');
      print(agreementExplain(place, new Date()));
    });
  agreement
    .command('template')
    .description('print a commented agreement.yaml that allows nothing yet, to fill in')
    .option('--config <file>', 'agent.yaml, for the name of the study', 'agent.yaml')
    .option('--study <name>', 'the name of the study, without agent.yaml')
    .action(async (options: { readonly config: string; readonly study?: string }) => {
      const { agreementStart } = await import('./commands/agreement.ts');
      process.stdout.write(agreementStart(options));
    });
}

const print = (lines: readonly string[]): boolean => process.stdout.write(`${lines.join('\n')}\n`);
