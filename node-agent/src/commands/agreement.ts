/** `concordat agent agreement check|explain|template`: reads files and prints; it talks to nobody. */
import { dirname, resolve } from 'node:path';

import { parseAgreement, type Agreement } from '@concordat/shared/agreement/document.ts';
import { parseMap } from '@concordat/shared/plan/map.ts';
import { parsePlan } from '@concordat/shared/plan/parse.ts';

import { explainAgreement } from '../agreement/explain-agreement.ts';
import { agreementTemplate } from '../agreement/template.ts';
import { unusualIn } from '../agreement/unusual.ts';
import { readAgentConfig } from '../app.ts';
import type { AgentConfig } from '../config.ts';
import { withSource } from '../data/read.ts';
import { readConfigured } from '../identity/files.ts';

export interface AgreementPlace {
  /** agent.yaml, which names the agreement, the records and their map. */
  readonly config: string;
  /** The agreement itself, without the rest. */
  readonly file?: string;
}

/** What is unusual, as lines to print. Throws `agreement/invalid` with every fault, each with its line and remedy. */
export async function agreementCheck(place: AgreementPlace, now: Date): Promise<readonly string[]> {
  const { agreement, file, config } = open(place);
  const templates = new Map(
    agreement.templates.map((path) => {
      const at = resolve(dirname(file), path);
      return [path, parsePlan(readConfigured(at), at)] as const;
    }),
  );
  const columns = config === null ? null : await variablesOf(config);
  const unusual = unusualIn(agreement, { now, columns, templates });
  return [
    `${file} is valid: ${agreement.name}`,
    `  SHA-256 ${agreement.digest}`,
    ...(columns === null ? ['  not held against the records: name agent.yaml with --config to do so'] : []),
    ...(unusual.length === 0
      ? ['  nothing unusual']
      : ['', 'Worth a second look:', ...unusual.map((line) => `  ${line}`)]),
  ];
}

/** What it allows and what it does not, as lines to print. */
export function agreementExplain(place: AgreementPlace, now: Date): readonly string[] {
  return explainAgreement(open(place).agreement, now);
}

/** A commented agreement to begin with, for the study that agent.yaml names. */
export function agreementStart({
  config,
  study,
}: {
  readonly config: string;
  readonly study?: string;
}): string {
  return agreementTemplate(study ?? readAgentConfig(config).study);
}

function open({ config, file }: AgreementPlace): {
  readonly agreement: Agreement;
  readonly file: string;
  readonly config: AgentConfig | null;
} {
  const configured = file === undefined ? readAgentConfig(config) : null;
  const at = file ?? configured!.agreement;
  return {
    agreement: parseAgreement(readConfigured(at), at, { local: false }),
    file: at,
    config: configured,
  };
}

/** The records' columns under the names that plans use. The header alone is read. */
async function variablesOf({ data, map }: AgentConfig): Promise<readonly string[]> {
  const columns = await withSource(data, {}, async (source) => source.columns);
  if (map === undefined) return columns;
  const { variables } = parseMap(readConfigured(map), map);
  const mapped = Object.entries(variables)
    .filter(([, { from }]) => columns.includes(from))
    .map(([variable]) => variable);
  return [...columns.filter((name) => !Object.hasOwn(variables, name)), ...mapped];
}
