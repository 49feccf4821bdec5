/** The agent's commands: `concordat agent …` at the command line, and the whole program in the agent's container. */
import { Command, Option } from 'commander';
import { OBJECTIONS, type ObjectionName } from '@concordat/shared/agreement/statements.ts';

import type { AgreementPlace } from './commands/agreement.ts';
import type { EraseArguments } from './commands/erase.ts';
import type * as custodianCode from './commands/custodian.ts';
import type { Common, Making, Signing } from './commands/custodian.ts';

const CONFIG = ['--config <file>', 'agent.yaml of the site', 'agent.yaml'] as const;

/** A command's own code is loaded when it is called: an agent that serves does not carry the others'. */
export function agentProgram(name: string): Command {
  // Before its commands are made, which take it over: wrong usage is status 2, as everywhere.
  const program = new Command(name)
    .exitOverride()
    .description(
      "serve one trial's records to the coordinator, through this site's own agreement, disclosure rules and log",
    );
  program
    .command('serve', { isDefault: true })
    .description('serve until stopped; what `concordat agent --config …` does by itself')
    .option(
      '--config <file>',
      'agent.yaml: coordinator, certificates, keys, data, agreement, log',
      'agent.yaml',
    )
    .action(async ({ config }: { readonly config: string }) => {
      const { serveAgents } = await import('./serve.ts');
      await serveAgents([config], { local: false });
    });

  program
    .command('doctor')
    .description('check everything that the agent needs here, and print what to send to the IT department')
    .option('--config <file>', 'agent.yaml', 'agent.yaml')
    .option('--json', 'print the findings as JSON')
    .action(async (options: { readonly config: string; readonly json?: boolean }) => {
      const { doctor } = await import('./commands/doctor.ts');
      await doctor(options);
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
  program
    .command('health')
    .description('ask the running agent whether it is alive, at the health endpoint of its configuration')
    .option('--config <file>', 'agent.yaml', 'agent.yaml')
    .action(async ({ config }: { readonly config: string }) => {
      const { agentHealth } = await import('./commands/health.ts');
      process.stdout.write(`${await agentHealth(config)}\n`);
    });
  program
    .command('acknowledge')
    .description(
      "show where this site's log and the coordinator's have diverged, and let the two go on; the consortium acknowledges too",
    )
    .option(...CONFIG)
    .option('--note <text>', "a note for this site's own log; it does not leave", '')
    .action(async (options: { readonly config: string; readonly note: string }) => {
      (await import('./commands/acknowledge.ts')).acknowledge(options);
    });
  program
    .command('erase')
    .description(
      'erase for good what messages of closed runs say; the log verifies as before, and says that it was done',
    )
    .requiredOption('--before <day>', 'runs that were closed before this day')
    .requiredOption('--reason <text>', 'why, for the log')
    .option(...CONFIG)
    .option('--yes', 'do it; without, it is only listed')
    .action(async (options: EraseArguments) => (await import('./commands/erase.ts')).erase(options));
  addAgreement(program);
  addCustodian(program);
  return program;
}

/** What a custodian does: look, decide, sign. */
function addCustodian(program: Command): void {
  const code = (): Promise<typeof custodianCode> => import('./commands/custodian.ts');
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

  looking('plans', 'the plans that wait, in plain words, and how the others stand')
    .argument('[digest]', 'first digits of the digest of one plan, to have that one in plain words')
    .action(async (digest: string | undefined, options: Common) => (await code()).plans(digest, options));
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
  looking('left', 'everything that left this site, as readable tables, the newest first')
    .option('--from <number>', 'the place to begin at', '1')
    .action(async (options: Common & { readonly from: string }) => (await code()).left(options));
  signing('release', 'let an answer leave')
    .argument('<task>', "first digits of the answer's task")
    .action(async (task: string, options: Signing) => (await code()).release(task, options));
  signing('withhold', 'keep an answer back')
    .argument('<task>', "first digits of the answer's task")
    .action(async (task: string, options: Signing) => (await code()).withhold(task, options));
  const making = (name: string, what: string, whose: string): Command =>
    looking(name, what)
      .argument('<name>', `the ${whose} name`)
      .option(
        '--passphrase-file <file>',
        'file that holds the passphrase to seal the key with; asked for where left out',
      );
  making('custodian', "make a custodian's key, and name it in the agreement", "custodian's").action(
    async (name: string, options: Making) => (await code()).custodian(name, options),
  );
  making(
    'auditor',
    "make an auditor's key: who has it reads the log on the agent's page, and decides nothing",
    "auditor's",
  ).action(async (name: string, options: Making) => (await code()).auditor(name, options));
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
