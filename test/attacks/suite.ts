/** All attacks, in the table's order, and the table of docs/attacks.md. */
import type { Attack, Recovered } from './attack.ts';
import { attacks as differencing } from './differencing.ts';
import { attacks as discovery } from './discovery.ts';
import { attacks as frames } from './frames.ts';
import { attacks as grouped } from './grouped.ts';
import { attacks as manyModels } from './many-models.ts';
import { attacks as oracles } from './oracles.ts';
import { attacks as probing } from './probing.ts';
import { attacks as selectors } from './selectors.ts';
import { attacks as standing } from './standing.ts';
import { attacks as times } from './times.ts';
import { attacks as timing } from './timing.ts';
import { attacks as words } from './words.ts';

export const ATTACKS: readonly Attack[] = [
  ...selectors,
  ...grouped,
  ...manyModels,
  ...differencing,
  ...oracles,
  ...times,
  ...probing,
  ...discovery,
  ...standing,
  ...frames,
  ...words,
  ...timing,
];

export interface Outcome {
  readonly off: Recovered;
  readonly on: Recovered;
}

export async function carryOut(attack: Attack): Promise<Outcome> {
  return { off: await attack.off(), on: await attack.on() };
}

const BEGIN = '<!-- table -->';
const END = '<!-- end of table -->';

/** The document with the table in its place. */
export function withTable(document: string, outcomes: readonly Outcome[]): string {
  const rows = ATTACKS.map(({ name, rule }, i) => {
    const { off, on } = outcomes[i]!;
    return `| ${name} | ${rule} | ${off.recovered} of ${off.of} | ${on.recovered} |`;
  });
  const table = ['| attack | rule | recovered without it | with it |', '|---|---|---|---|', ...rows].join(
    '\n',
  );
  const [before, after] = [document.indexOf(BEGIN), document.indexOf(END)];
  return `${document.slice(0, before + BEGIN.length)}\n${table}\n${document.slice(after)}`;
}
