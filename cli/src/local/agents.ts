/** Process of one or more agents of `concordat local`, the only place where the policy `open` is accepted. */
import { serveAgents } from '../commands/agent.ts';

await serveAgents(process.argv.slice(2), { allowOpenPolicy: true });
