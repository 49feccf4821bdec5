/** Process of one or more agents of `concordat local`, the only place where the policy `open` is accepted. */
import { serveAgents } from '@concordat/node-agent/serve.ts';

await serveAgents(process.argv.slice(2), { local: true });
