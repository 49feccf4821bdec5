/** The commands for auditors, who are given logs and trust neither side. */
import { Command, Option } from 'commander';

import type { Run } from './audit-run.ts';
import { addShowing } from './audit-show-program.ts';

export function auditProgram(run: Run): Command {
  // Before its commands are made, which take it over: wrong usage is status 2, as everywhere.
  const audit = new Command('audit')
    .exitOverride()
    .description(
      'check the logs of sites and of the coordinator offline, from their files alone, trusting neither side',
    );
  logOptions(
    audit
      .command('verify')
      .description(
        'hold logs against themselves, each other, the approvals and the policy they ran under, and what was published',
      ),
  )
    .option('--plan <file>', 'the plan that is to have run')
    .option('--result <file>', 'the published result.json')
    .option(
      '--attestation <file>',
      "the coordinator's signed statement beside the result (result.intoto.json)",
    )
    .option('--json', 'the verdict as one JSON document (docs/audit.md)')
    .addHelpText(
      'after',
      `
Example:
  concordat audit verify --site A.tar B.tar --coordinator C.tar --result result.json --key coordinator=6b1f…

Exit status: 0 nothing was found; 2 usage; 4 something was found.`,
    )
    .action(run(async () => (await import('./commands/audit.ts')).auditVerify));
  logOptions(
    audit
      .command('recompute')
      .description(
        'compute the analyses of runs again from the logged messages, and compare the published result',
      ),
  )
    .option('--run <id>', 'only this run (32 hexadecimal digits)')
    .option('--result <file>', 'the published result.json')
    .option('--out <folder>', 'where to write what the messages give, one <run>.json each')
    .addHelpText(
      'after',
      `
Exit status: 0 the messages give the result, bit for bit, or none was named; 2 usage; 4 they give another, or it could not be compared.`,
    )
    .action(run(async () => (await import('./commands/audit-recompute.ts')).auditRecompute));
  addShowing(audit, run);
  return audit;
}

function logOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--site <log...>', "sites' logs: their folders, or bundles of them").default([], 'none'),
    )
    .option('--coordinator <log>', "the coordinator's log")
    .addOption(
      new Option(
        '--key <who=hex...>',
        'public keys that you were told by their owners, e.g. coordinator=6b1f…; of the others the logs are believed, and that is said',
      ).default([], 'none'),
    );
}
