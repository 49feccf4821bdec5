import type { Cell } from '@concordat/shared/disclosure/facts.ts';
import { evaluateExpression, variablesOf } from '@concordat/shared/plan/expression.ts';
import type { Expression, ExpandedPlan } from '@concordat/shared/plan/types.ts';
import { smallestCount } from './classification.ts';
import { distinctLevels, gather } from './response.ts';
import { codeAt, columnOf, matchCodes, numericValues, type Table } from './table.ts';

/**
 * How a plan's population and treatment divide all records of the file. The counts of those left out are exact, so that an
 * expression that leaves out one person by their values tells that there is one: `not (id == 17 and died == 1)` would ask for
 * anybody's outcome. Both sides of the expression, of each of its parts, and of its parts about one variable together
 * are therefore cells. What is missing is not a value: leaving out those without a baseline divides nobody from anybody by
 * what they have.
 *
 * @param otherTreatment rows of another arm than the plan's, which the answer counts
 */
export function divisionCells(
  plan: Pick<ExpandedPlan, 'population' | 'treatment' | 'outcome'>,
  table: Table,
  otherTreatment: number,
): Cell[] {
  const { population, treatment } = plan;
  const participants = participantsOf(plan, table);
  const cells =
    population === null ? [] : partsOf(population).map((part) => sides(part, table, participants));
  if (treatment !== null && otherTreatment > 0) {
    const arms = matchCodes(columnOf(table, treatment.variable), [treatment.control, ...treatment.active]);
    const others = participants((row) => arms[row] === -2);
    cells.push({ what: 'another treatment', variable: treatment.variable, count: others });
  }
  return cells;
}

/** Participants among the rows that a condition chooses: by subject where the outcome is repeated, by trials where grouped. */
export function participantsOf(
  { outcome }: Pick<ExpandedPlan, 'outcome'>,
  table: Table,
): (chosen: (row: number) => boolean) => number {
  const every = () => Int32Array.from({ length: table.rows }, (_, row) => row);
  if (outcome.kind === 'repeated' && table.columns.has(outcome.subject)) {
    const { index } = distinctLevels(outcome.subject, table, every(), Infinity)!;
    return (chosen) => new Set(index.filter((_, row) => chosen(row))).size;
  }
  const trials =
    outcome.kind === 'binary-grouped' && table.columns.has(outcome.trials)
      ? gather(numericValues(table, outcome.trials), every())
      : null;
  return (chosen) => {
    let count = 0;
    for (let row = 0; row < table.rows; row++)
      if (chosen(row)) count += trials === null ? 1 : trials[row]! > 0 ? trials[row]! : 0;
    return count;
  };
}

function sides(
  part: Expression,
  table: Table,
  participants: (chosen: (row: number) => boolean) => number,
): Cell {
  const columns = new Map(variablesOf(part).map((name) => [name, columnOf(table, name)]));
  const truth = new Int8Array(table.rows);
  for (let row = 0; row < table.rows; row++) {
    const value = evaluateExpression(part, (variable) => codeAt(columns.get(variable)!, row));
    truth[row] = value === null ? -1 : Number(value);
  }
  const counts = [0, 1].map((side) => participants((row) => truth[row] === side));
  return { what: 'population', variable: [...columns.keys()].join(' x '), count: smallestCount(counts) };
}

const byValue = (part: Expression): boolean =>
  part.op === 'and' || part.op === 'or'
    ? part.terms.some(byValue)
    : part.op === 'not'
      ? byValue(part.term)
      : part.op !== 'missing';

/** The expression, its parts, and of each conjunction or disjunction the parts about one variable together. */
function partsOf(expression: Expression): Expression[] {
  if (!byValue(expression)) return [];
  switch (expression.op) {
    case 'not':
      return partsOf(expression.term);
    case 'and':
    case 'or': {
      const { op, terms } = expression;
      const about = Map.groupBy(terms.filter(byValue), (term) => variablesOf(term).toSorted().join(' '));
      const together = [...about.values()].filter((group) => group.length > 1 && group.length < terms.length);
      return [expression, ...together.map((group) => ({ op, terms: group })), ...terms.flatMap(partsOf)];
    }
    default:
      return [expression];
  }
}
