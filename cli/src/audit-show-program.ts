/** The commands that show a log, and hand it on: all read one log, a folder or a bundle of one, and change nothing of it. */
import { InvalidArgumentError, type Command } from 'commander';

import type { Run } from './audit-run.ts';

const LOG = ['<log>', 'the folder of a log, or a bundle of one (.tar)'] as const;

export function addShowing(audit: Command, run: Run): void {
  audit
    .command('show')
    .description(
      'everything that left, and what was decided about it, as tables with names and units; with a filter, every entry that it fits',
    )
    .argument(...LOG)
    .option('--run <id>', 'first digits of a run')
    .option('--analysis <id>', "an analysis of the run's plan")
    .option('--round <n>', 'a round of the run', count)
    .option('--type <type>', 'what the entry holds, e.g. stageOneEstimate, agreement, refusals')
    .option('--entry <n>', 'one entry, by its place in the log', count)
    .option('--sent', 'only messages that were sent')
    .option('--json', 'one JSON object a line, for machines')
    .action(run(async () => (await import('./commands/audit-show.ts')).auditShow));
  audit
    .command('export')
    .description('the entries with the numbers that were logged with them, in long form, for other software')
    .argument(...LOG)
    .requiredOption('--out <file>', 'what to write: its name ends in .csv, .json or .ndjson')
    .action(run(async () => (await import('./commands/audit-export.ts')).auditExport));
  audit
    .command('bundle')
    .description('one file of a log to hand over, as its checkpoint has it, also while its process writes')
    .argument(...LOG)
    .requiredOption('--out <file>', 'the bundle (.tar)')
    .option(
      '--without-bodies',
      'leave out what the messages say: the entries still prove a body to whoever is given it',
    )
    .action(run(async () => (await import('./commands/audit-bundle.ts')).auditBundle));
  audit
    .command('receipt')
    .description('a proof that an entry is in a log, to be kept and checked without the log')
    .argument('[log]', 'the folder of a log, or a bundle of one (.tar)')
    .option('--entry <n>', 'its place in the log', count)
    .option('--out <file>', 'the proof (.tlog-proof); the entry is written beside it (.entry.json)')
    .option('--body', 'also what the entry says, beside it (.body)')
    .option('--check <file>', 'check a proof instead: with --entry-file and --key')
    .option('--entry-file <file>', 'the entry that the proof is of')
    .option('--body-file <file>', 'what the entry says')
    .option('--key <hex>', "the log's public key, as its owner told you")
    .addHelpText(
      'after',
      `
Examples:
  concordat audit receipt log/ --entry 12 --out estimate.tlog-proof --body
  concordat audit receipt --check estimate.tlog-proof --entry-file estimate.entry.json --body-file estimate.body --key 6b1f…`,
    )
    .action(run(async () => (await import('./commands/audit-receipt.ts')).auditReceipt));
  audit
    .command('timeline')
    .description('who sent what when, as a picture: a lane for each party')
    .argument('<log...>', 'folders of logs, or bundles of them (.tar)')
    .requiredOption('--out <file>', 'what to write: its name ends in .svg or .html')
    .action(run(async () => (await import('./commands/audit-timeline.ts')).auditTimeline));
}

function count(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('a whole number, from 0.');
}
