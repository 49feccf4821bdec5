/** The command line: parses arguments, runs a command, and turns its end into the contract's exit status. */
import { Command, CommanderError, Option } from 'commander';

import { coordinatorProgram } from '@concordat/coordinator/program.ts';
import { agentProgram } from '@concordat/node-agent/program.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';

import { auditProgram } from './audit-program.ts';
import { VERSION } from './version.ts';
import { failureStatus } from '@concordat/coordinator/process.ts';

/** 0 every analysis finished · 2 usage or an invalid plan, nothing was sent · 3 an analysis failed or was refused · 4 an audit found something. */
type ExitStatus = 0 | 2 | 3 | 4 | 143;

const jsonOption = (): Option =>
  new Option('--json', 'one JSON object a line on standard output, for machines');

const program = new Command('concordat')
  .description(
    'Federated individual-participant-data meta-analysis: records stay at their institutions; only estimates, standard errors and sufficient statistics leave, through one gate and into a log that anyone can check.',
  )
  .version(VERSION)
  .showHelpAfterError('(concordat --help lists the commands)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Start here:
  concordat demo                                       a ten-trial federation on this machine, in under a minute
  concordat plan check plan.yaml                       is the plan valid, and what does it ask?
  concordat local --plan plan.yaml --data DIR --out O  a whole federation on this machine from one file per trial

Exit status: 0 every analysis finished; 2 usage or an invalid plan (nothing was sent); 3 at least one analysis failed
or was refused by too many sites (result.json says which, and why); 4 an audit found something.`,
  );

let status: ExitStatus = 0;
/** A command's own code is loaded when it is called: an agent does not carry the coordinator's. */
const run =
  <A extends unknown[]>(load: () => Promise<(...args: A) => Promise<ExitStatus> | ExitStatus>) =>
  async (...args: A): Promise<void> => {
    const command = await load();
    status = await command(...args);
  };

program
  .command('demo')
  .description('generate ten hypertension trials, run the example plans over them, and say where to look')
  .option('--out <folder>', 'where to write the data and the results', 'out/demo')
  .addOption(jsonOption())
  .action(run(async () => (await import('./commands/demo.ts')).demo));

program
  .command('local')
  .description(
    'run a whole federation on this machine: one coordinator and one agent per trial, over mutual TLS on loopback',
  )
  .requiredOption('--plan <file>', 'the analysis plan (YAML)')
  .requiredOption(
    '--data <folder>',
    'one file per trial (<study>.csv, .tsv, .parquet, .json, .ndjson), or one ipd file with a `study` column',
  )
  .requiredOption(
    '--out <folder>',
    'where to write result.json, result.intoto.json, report.html, figures/ and log/',
  )
  .option(
    '--policy <file>',
    'disclosure policy that every agent enforces; `open` switches every rule off (public data only)',
  )
  .option('--map <folder>', 'harmonisation maps, one <study>.yaml each')
  .addOption(jsonOption())
  .addHelpText(
    'after',
    `
Example:
  concordat local --plan examples/hypertension/plan.yaml --data out/demo/data --out out/hypertension

A run that was interrupted goes on where it stopped when the same command is given again.`,
  )
  .action(run(async () => (await import('./commands/local.ts')).local));

const plan = program.command('plan').description('check a plan, or print the schemas of the documents');
plan
  .command('check')
  .description('validate a plan and say what it asks; every fault at once, with line and remedy')
  .argument('<file>', 'the analysis plan (YAML)')
  .addOption(jsonOption())
  .action(run(async () => (await import('./commands/plan.ts')).planCheck));
plan
  .command('key')
  .description("make a statistician's key, to sign plans with")
  .argument('<file>', 'where to write the private key')
  .action(run(async () => (await import('./commands/plan-sign.ts')).planKey));
plan
  .command('sign')
  .description('sign a plan, so that sites know who asks; the signature is written beside it')
  .argument('<file>', 'the analysis plan (YAML)')
  .requiredOption('--key <file>', "the statistician's private key")
  .action(run(async () => (await import('./commands/plan-sign.ts')).planSign));
plan
  .command('schema')
  .description('print a JSON Schema')
  .addOption(
    new Option('--of <document>', 'which document')
      .choices(['plan', 'result', 'policy', 'agreement', 'map'])
      .default('plan'),
  )
  .action(run(async () => (await import('./commands/plan.ts')).planSchema));

program.addCommand(
  coordinatorProgram(
    'coordinator',
    run(async () => (await import('./commands/coordinator.ts')).coordinator),
  ),
);
program.addCommand(agentProgram('agent'));
program.addCommand(auditProgram(run));

try {
  await program.parseAsync();
} catch (error) {
  status = report(error);
}
// A command of an agent may have set its own.
if (status !== 0) process.exitCode = status;

function report(error: unknown): ExitStatus {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ConcordatError) {
    console.error(error.describe());
    return failureStatus(error);
  }
  console.error('process/failed: an internal error; this is a defect of the software');
  console.error(error);
  return 3;
}
