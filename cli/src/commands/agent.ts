import { serveAgents } from '@concordat/node-agent/serve.ts';

export async function agent(options: { readonly config: string }): Promise<0> {
  await serveAgents([options.config], { local: false });
  return 0;
}
