/** The agreement that `agent join` writes, to be filled in: until then it allows nothing. */
export function agreementTemplate(study: string): string {
  return `# What the data-sharing agreement of ${study} allows. Whatever is not allowed here does not leave.
agreement: 1
name: ${JSON.stringify(`Data-sharing agreement of ${study}`)}
# Last day (UTC) on which anything may leave.
until: "2000-01-01"
# each-plan: a custodian approves each plan; each-release: and sees each answer before it leaves;
# matching-template: what asks no more than one of \`templates\` needs no approval.
approval: each-plan
# Who may approve: \`concordat agent custodian NAME\` makes a key and names it here.
custodians: []
# Variables that a plan may use beside the outcome, those that may be an outcome, and the model families; or \`all\`.
variables: []
outcomes: []
families: []
`;
}
