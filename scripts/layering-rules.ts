/**
 * Which room may import what. `check-layering.ts` applies these rules to the source, and to
 * `test/fixtures/layering`, where every rule is broken on purpose and must be reported.
 */
import type { ICruiseOptions, IRegularForbiddenRuleType } from 'dependency-cruiser';

// Tests, and what only they import.
const test = '(\\.test|testing)\\.ts$';
const program = '^(audit|coordinator|node-agent|cli|bench|examples|scripts|test)/';
const network = '^(node:)?(net|tls|http|https|http2|dgram|dns)(/|$)';
const npm = (name: string): string => `(^|/)node_modules/${name}/`;

type Rule = Required<Pick<IRegularForbiddenRuleType, 'name' | 'comment' | 'severity' | 'from' | 'to'>>;

const rule = (name: string, comment: string, from: Rule['from'], to: Rule['to']): Rule => ({
  name,
  comment,
  severity: 'error',
  from,
  to,
});

export const forbidden: Rule[] = [
  rule('resolvable', 'An import that is not found is checked by no rule.', {}, { couldNotResolve: true }),
  rule('no-cycles', 'Modules that need each other are one module.', {}, { circular: true }),
  rule(
    'test-is-a-leaf',
    'test/ may import anything; nothing imports it.',
    { pathNot: '^test/' },
    { path: '^test/' },
  ),
  rule(
    'shared-knows-no-program',
    'shared is below every program, and below what their pages share.',
    { path: '^shared/' },
    { path: [program, '^web/'] },
  ),
  rule(
    'web-knows-no-program',
    'What the pages of both programs share knows neither.',
    { path: '^web/' },
    { path: program },
  ),
  rule(
    'web-dials-nothing',
    'A page listens, and asks nothing of the network.',
    { path: '^web/src/', pathNot: test },
    { path: ['^(node:)?(http|https|http2|dgram|dns)(/|$)', npm('(@grpc/[^/]+|undici)')] },
  ),
  rule(
    'shared-is-pure',
    'No I/O, no clock, no threads in shared.',
    { path: '^shared/src/', pathNot: [test, '^shared/src/(log|wire|plan)/'] },
    { dependencyTypes: ['core'] },
  ),
  rule(
    'shared-only-hashes-and-signs',
    'Where shared digests and signs, node:crypto and the arithmetic of paths are all that it may use.',
    // The message log is given a file system. dependency-cruiser cannot tell that it imports only the type; the linter does.
    {
      path: '^shared/src/(log|wire|plan)/',
      pathNot: [test, '^shared/src/log/(bodies|divergence|log-folder|message-log|tile-files)\\.ts$'],
    },
    { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|path)$' },
  ),
  rule(
    'linalg-owns-ml-matrix',
    'One wrapper knows where ml-matrix clamps instead of failing.',
    { pathNot: '^shared/src/linalg/' },
    { path: npm('ml-matrix') },
  ),
  rule(
    'coordinator-knows-no-agent',
    'The programs meet in proto and shared alone.',
    { path: '^coordinator/' },
    { path: '^node-agent/' },
  ),
  rule(
    'agent-knows-no-coordinator',
    'The programs meet in proto and shared alone.',
    { path: '^node-agent/' },
    { path: '^coordinator/' },
  ),
  rule(
    'audit-trusts-neither',
    'What judges both sides shares no code with either but proto and shared.',
    { path: '^audit/' },
    { path: '^(coordinator|node-agent|cli|bench|examples|scripts)/' },
  ),
  rule(
    'programs-know-no-cli',
    'The command line starts the programs, not the other way.',
    { path: '^(coordinator|node-agent)/' },
    { path: '^(cli|bench|examples|scripts)/' },
  ),
  rule(
    'egress-owns-grpc',
    'What leaves an institution leaves through one folder.',
    { path: '^node-agent/src/', pathNot: '^node-agent/src/egress/' },
    { path: npm('@grpc/[^/]+') },
  ),
  rule(
    'agent-listens-or-leaves',
    'In the agent, only egress opens a connection; the custodian page listens as web does.',
    { path: '^node-agent/src/', pathNot: ['^node-agent/src/egress/', test] },
    { path: network },
  ),
  rule(
    'custodian-owns-the-page',
    'In the agent, only the custodian page listens.',
    { path: '^node-agent/src/', pathNot: ['^node-agent/src/custodian/', test] },
    { path: '^web/src/(page|serve)\\.ts$' },
  ),
  rule(
    'data-has-no-transport',
    'The code that reads records can reach nothing that sends.',
    { path: '^node-agent/src/data/', pathNot: test },
    { path: ['^node-agent/src/(egress|custodian)/', '^web/', network, npm('(@grpc/[^/]+|fastify|undici)')] },
  ),
];

export const options: ICruiseOptions = {
  parser: 'swc',
  tsPreCompilationDeps: true,
  doNotFollow: { path: ['node_modules', '^proto/gen/'] },
  exclude: { path: '^test/fixtures/' },
  enhancedResolveOptions: {
    exportsFields: ['exports'],
    conditionNames: ['import', 'node', 'default', 'types'],
    extensions: ['.ts', '.mjs', '.js', '.json'],
  },
};
