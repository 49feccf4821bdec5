/** `concordat agent doctor`: checks everything that an agent needs, and says what to do about what is missing. */
import { readAgentConfig } from '../app.ts';
import type { AgentConfig } from '../config.ts';
import { forDepartment } from './department.ts';
import { checkFiles, type Machine } from './files.ts';
import { failure, ok, type Finding } from './finding.ts';
import { checkNetwork, type Network } from './network.ts';

export interface Report {
  readonly healthy: boolean;
  readonly findings: readonly Finding[];
  /** Lines for the IT department; empty where the configuration cannot be read. */
  readonly department: readonly string[];
}

export async function examine(file: string, world: Machine & Network): Promise<Report> {
  let config: AgentConfig;
  try {
    config = readAgentConfig(file);
  } catch (error) {
    return { healthy: false, findings: [failure('configuration', error)], department: [] };
  }
  const { findings, route } = await checkNetwork(config, world);
  const all = [
    ok('configuration', `${file}: study ${config.study}, coordinator ${config.coordinator}`),
    ...findings,
    ...(await checkFiles(config, world)),
  ];
  return {
    healthy: all.every(({ state }) => state !== 'fail'),
    findings: all,
    department: forDepartment(config, route),
  };
}

export function reportText({ findings, department }: Report): string {
  const lines = findings.flatMap(({ check, state, found, remedy }) => [
    `${state.padEnd(4)}  ${check}: ${found}`,
    ...(remedy === null ? [] : [`      remedy: ${remedy}`]),
  ]);
  const block = department.length === 0 ? [] : ['', 'For the IT department', '', ...department];
  return [...lines, ...block, ''].join('\n');
}
