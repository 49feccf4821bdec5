/** The coordinator's commands: `concordat coordinator …` at the command line, and the whole program in its container. */
import { Command, InvalidArgumentError } from 'commander';
import { ConcordatError } from '@concordat/shared/errors.ts';

import type { EraseArguments } from './commands/erase.ts';
import type { InitArguments } from './commands/init.ts';

export interface CoordinatorArguments {
  readonly config: string;
  /** Without a plan, sites enrol and agents wait. */
  readonly plan?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** A plan and where its result goes, or neither. */
export function planAndOut({
  plan,
  out,
}: {
  readonly plan: string | undefined;
  readonly out: string | undefined;
}): { readonly plan: string; readonly out: string } | null {
  if (plan === undefined && out === undefined) return null;
  if (plan !== undefined && out !== undefined) return { plan, out };
  throw new ConcordatError('usage/invalid', '--plan and --out go together', {
    remedy: 'give both to run a plan, or neither to serve until stopped',
  });
}

const CONFIG = ['--config <file>', 'coordinator.yaml', 'coordinator.yaml'] as const;

/** `run`: what serves, or runs a plan, and shows its progress. A command's own code is loaded when it is called. */
export function coordinatorProgram(
  name: string,
  run: (options: CoordinatorArguments) => Promise<void>,
): Command {
  // Before its commands are made, which take it over: wrong usage is status 2, as everywhere.
  const program = new Command(name)
    .exitOverride()
    .description(
      'run a plan over the enrolled sites: listens for their agents, combines what they release, and reports',
    );
  program
    .command('run', { isDefault: true })
    .description(
      'run a plan, and end; without one, serve until stopped: what `concordat coordinator --config …` does by itself',
    )
    .requiredOption('--config <file>', 'coordinator.yaml: address, authority, keys, sites')
    .option('--plan <file>', 'the analysis plan (YAML); without it, sites enrol and agents wait')
    .option('--out <folder>', 'where to write result.json, result.intoto.json, report.html and figures/')
    .option('--json', 'one JSON object a line on standard output, for machines')
    .action(run);
  program
    .command('init')
    .description('make a coordinator: its authority, keys and a commented coordinator.yaml, in a new folder')
    .requiredOption('--dir <folder>', 'where to write them; nothing there is overwritten')
    .requiredOption('--host <name>', 'the host name (or address) that the agents dial')
    .option('--listen <host:port>', 'what to listen on', '0.0.0.0:443')
    .option('--authority <file>', 'PKI of your own: its certificate (PEM); with --certificate and --key')
    .option('--certificate <file>', "the server's certificate from that PKI (PEM)")
    .option('--key <file>', "the server's TLS key (PEM)")
    .action(async (options: InitArguments) => {
      await (await import('./commands/init.ts')).init(options);
    });
  program
    .command('invite')
    .description('print an invitation for a site: one line, for one use')
    .argument('<site>', "the site's study id")
    .option(...CONFIG)
    .option('--days <number>', 'how long it can be used, days', days, 7)
    .action(async (site: string, options: { readonly config: string; readonly days: number }) => {
      (await import('./commands/sites.ts')).invite(site, options);
    });
  program
    .command('sites')
    .description('list the sites: enrolled, invited, revoked')
    .option(...CONFIG)
    .action(async (options: { readonly config: string }) => {
      (await import('./commands/sites.ts')).listSites(options);
    });
  program
    .command('revoke')
    .description("end a site's admission, at once; also what it was invited with")
    .argument('<site>', "the site's study id")
    .option(...CONFIG)
    .action(async (site: string, options: { readonly config: string }) => {
      (await import('./commands/sites.ts')).revoke(site, options);
    });
  program
    .command('admit')
    .description('PKI of your own: admit a site whose certificate has the study id as its common name')
    .argument('<site>', "the site's study id")
    .requiredOption('--key <hex>', "the site's public signing key, 64 hexadecimal digits")
    .option(...CONFIG)
    .action(async (site: string, options: { readonly config: string; readonly key: string }) => {
      (await import('./commands/sites.ts')).admitSite(site, options);
    });
  program
    .command('acknowledge')
    .description(
      "show where a site's log and the coordinator's have diverged, and let the two go on; the site acknowledges too",
    )
    .argument('<site>', "the site's study id")
    .option(...CONFIG)
    .option('--note <text>', "a note for the coordinator's own log", '')
    .action(async (site: string, options: { readonly config: string; readonly note: string }) => {
      (await import('./commands/acknowledge.ts')).acknowledge(site, options);
    });
  program
    .command('auditor')
    .description(
      "make an auditor's key: who has it reads on the page of the coordinator, and changes nothing",
    )
    .argument('<name>', "the auditor's name")
    .option(...CONFIG)
    .option(
      '--passphrase-file <file>',
      'file that holds the passphrase to seal the key with; asked for where left out',
    )
    .action(
      async (auditor: string, options: { readonly config: string; readonly passphraseFile?: string }) => {
        await (await import('./commands/auditor.ts')).makeAuditor(auditor, options);
      },
    );
  program
    .command('erase')
    .description(
      'erase for good what messages of published runs say; the log verifies as before, and says that it was done',
    )
    .requiredOption('--before <day>', 'runs whose result was published before this day')
    .requiredOption('--reason <text>', 'why, for the log')
    .option(...CONFIG)
    .option('--yes', 'do it; without, it is only listed')
    .action(async (options: EraseArguments) => {
      (await import('./commands/erase.ts')).erase(options);
    });
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

function days(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 365) return number;
  throw new InvalidArgumentError('a whole number of days from 1 to 365.');
}
