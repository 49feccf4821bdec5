/** What to send to the IT department: everything that the agent needs of the institution's network, and nothing more. */
import type { AgentConfig } from '../config.ts';
import type { Route } from '../egress/proxy.ts';
import { describeRoute } from './network.ts';

export function forDepartment(
  { coordinator }: Pick<AgentConfig, 'coordinator'>,
  route: Route | null,
): readonly string[] {
  const port = coordinator.slice(coordinator.lastIndexOf(':') + 1);
  const host = coordinator.slice(0, coordinator.lastIndexOf(':'));
  return [
    'A program on this machine takes part in a federated analysis. It needs of the network:',
    `- Direction: outbound only. Nothing dials in, and no port is opened to the outside.`,
    `- Destination: ${host}, TCP port ${port}. Only this host and port. Its address may change: allow it by name where possible.`,
    '- Protocol: TLS 1.3 with certificates on both sides, HTTP/2 (gRPC) inside.',
    `- Proxy: ${route === null ? 'the one that is configured cannot be used' : describeRoute(route)}. HTTP CONNECT, with or without basic sign-in; no PAC, SOCKS, NTLM or Kerberos.`,
    `- TLS inspection: exempt ${host}. The program trusts the consortium's own authority alone, so that an inspected connection fails.`,
    '- Time-outs: calls are held up to 25 s, and a still connection sends a sign of life every 10 s: an idle time-out of 30 s or more is enough.',
    '- Bandwidth: some hundred bytes every 25 s at rest; kilobytes to a few megabytes an analysis; one message is at most 4 MiB.',
    '- Clock: within 5 minutes of the true time (NTP).',
  ];
}
