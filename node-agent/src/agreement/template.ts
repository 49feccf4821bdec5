/** The commented agreement.yaml that a site begins with, and changes to its text that keep its comments. */
import type { Party } from '@concordat/shared/agreement/document.ts';
import { DEFAULT_POLICY } from '@concordat/shared/disclosure/policy.ts';
import { FAMILIES } from '@concordat/shared/plan/schema.ts';
import { ConcordatError } from '@concordat/shared/errors.ts';
import { isMap, isSeq, parseDocument } from 'yaml';

import { explainThresholds } from './thresholds.ts';

/**
 * Allows nothing: whoever fills it in allows each thing by name. It is not valid before `until` is filled in and a custodian is
 * named. Every threshold stands in a comment, with its shipped value.
 */
export function agreementTemplate(study: string, custodians: readonly Party[] = []): string {
  const text = `# The data-sharing agreement for ${oneLine(study)}, as this site's agent enforces it.
# What is not allowed here is refused. Fill in what the signed agreement says, then:
#   concordat agent agreement check      is it complete, and is anything unusual?
#   concordat agent agreement explain    what does it allow, in plain language?

agreement: 1
name: ${JSON.stringify(`Data-sharing agreement for ${oneLine(study)}`)}

# Last day (UTC) on which anything may leave, as "2027-12-31". A run that has begun ends with it.
until:

# Who may ask, by the public key with which they sign plans. Left out: whoever the coordinator speaks for.
# statisticians:
#   - {name: "Name", key: "64 hexadecimal digits"}

# Who may approve and refuse here: \`concordat agent custodian NAME\` makes a key and adds it.
custodians: []

# each-plan          a custodian approves each plan before it is answered
# each-release       and sees each answer before it leaves
# matching-template  a plan that asks no more than one of \`templates\` is answered without asking
approval: each-plan
# templates: [plans/primary.yaml]

# Variables that may be an outcome, by the plans' names (after the harmonisation map, where there is one). Of times to
# events, both: [days, died]. \`all\` allows every column.
outcomes: []

# Variables that a plan may use otherwise: treatment, covariates, strata, effect modifiers, and what chooses the population.
variables: []

# Models: ${FAMILIES.slice(0, 5).join(', ')},
# ${FAMILIES.slice(5).join(', ')}; or \`all\`.
families: []

# A refusal tells which rule and its threshold. true: also the count that fell short.
tell_counts: false

# The shipped disclosure rules hold, with the values below. To change one, take the two characters \`# \` away in front of
# \`disclosure:\`, of its own line, and of the line that it is indented under; \`null\` switches a rule off. Tighten freely, and
# loosen only what the signed agreement loosens.
# disclosure:
${thresholdComments()}`;
  return custodians.reduce(addCustodian, text);
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

function thresholdComments(): string {
  const lines: string[] = [];
  let group = '';
  for (const { key, standard, why } of explainThresholds(DEFAULT_POLICY)) {
    const [first, second] = key.split('.');
    if (second !== undefined && first !== group) lines.push(`#   ${first}:`);
    group = second === undefined ? '' : first!;
    const indent = second === undefined ? '  ' : '    ';
    lines.push(`# ${indent}# ${why}`, `# ${indent}${second ?? first}: ${String(standard)}`);
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Names a custodian in an agreement's text; comments and layout stay. The agreement need not be complete yet.
 * @throws ConcordatError `agreement/invalid` where the text is no agreement, or already names one so
 */
export function addCustodian(text: string, { name, key }: Party): string {
  const document = parseDocument(text, { stringKeys: true });
  const fail = (message: string, remedy: string): never => {
    throw new ConcordatError('agreement/invalid', message, { place: 'custodians', remedy });
  };
  if (document.errors.length > 0 || !isMap(document.contents))
    return fail('the agreement cannot be read', '`concordat agent agreement check` says where');
  const written = document.get('custodians', true);
  if (isSeq(written)) {
    for (const other of written.items) {
      if (isMap(other) && (other.get('name') === name || other.get('key') === key))
        return fail(
          `the agreement names ${name}, or this key, already`,
          'give the custodian a name and key of their own',
        );
    }
    // A list written as `[]` goes on as a list of lines.
    if (written.items.length === 0) written.flow = false;
    written.add(document.createNode({ name, key }, { flow: true }));
  } else if (document.get('custodians') === undefined || document.get('custodians') === null) {
    document.set('custodians', document.createNode([{ name, key }]));
  } else return fail('`custodians` is no list', 'write `custodians: []`');
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}
