/** What is valid in an agreement, and still worth a second look before the agent serves under it. */
import type { Agreement } from '@concordat/shared/agreement/document.ts';
import { daysLeft, faultsOfPlan, isExpired } from '@concordat/shared/agreement/permits.ts';
import { isVariableName } from '@concordat/shared/plan/names.ts';
import type { WrittenPlan } from '@concordat/shared/plan/schema.ts';

import { explainThresholds } from './thresholds.ts';
import { count, listed } from './words.ts';

export interface Surroundings {
  readonly now: Date;
  /** Of the records, under the plans' names; null where they are not known. */
  readonly columns: readonly string[] | null;
  /** The agreement's templates, by the path that it writes. */
  readonly templates: ReadonlyMap<string, WrittenPlan>;
}

/** Days before the end from which it is said. */
const SOON = 30;

/** In words, each with what to do about it; none where nothing is unusual. */
export function unusualIn(agreement: Agreement, around: Surroundings): string[] {
  return [
    ...aboutTime(agreement, around.now),
    ...aboutPeople(agreement),
    ...aboutLists(agreement, around.columns),
    ...aboutTemplates(agreement, around.templates),
    ...explainThresholds(agreement.policy)
      .filter(({ against }) => against === 'looser')
      .map(
        ({ key, sentence }) =>
          `\`disclosure\`: ${key} is looser than shipped (${sentence}); make sure that the signed agreement says so`,
      ),
  ];
}

function aboutTime(agreement: Agreement, now: Date): string[] {
  if (isExpired(agreement, now))
    return [
      `\`until\`: the agreement expired on ${agreement.until}, and nothing leaves; renew it, and write its new last day`,
    ];
  const days = daysLeft(agreement, now);
  return days <= SOON
    ? [`\`until\`: ${count(days, 'day')} left; a run that has not ended by then is cut off`]
    : [];
}

function aboutPeople({ statisticians, custodians, approval }: Agreement): string[] {
  const both = (statisticians ?? []).filter(({ key }) => custodians.some((other) => other.key === key));
  return [
    ...(statisticians === null
      ? [
          '`statisticians`: nobody is named, so that whoever the coordinator speaks for may ask; name keys, and plans must be signed by one of them',
        ]
      : []),
    ...both.map(({ name }) => `\`custodians\`: ${name} may both ask and approve; have another person decide`),
    ...(approval === 'matching-template' && custodians.length === 0
      ? ['`custodians`: nobody is named, so that a plan which matches no template is refused']
      : []),
  ];
}

const LISTS = ['outcomes', 'variables', 'families'] as const;

function aboutLists(agreement: Agreement, columns: readonly string[] | null): string[] {
  const all = LISTS.filter((list) => agreement[list] === 'all');
  const none = LISTS.filter((list) => agreement[list].length === 0);
  const told =
    all.length === LISTS.length
      ? ['`outcomes`, `variables` and `families` are all `all`: a plan may ask anything of these records']
      : all.map(
          (list) => `\`${list}\`: \`all\` allows what the signed agreement may not name; list what it names`,
        );
  return [
    ...told,
    ...none.map(
      (list) =>
        `\`${list}\`: the list is empty, so that every plan${list === 'variables' ? ' with a treatment' : ''} is refused`,
    ),
    ...(['outcomes', 'variables'] as const).flatMap((list) => aboutNames(list, agreement[list], columns)),
  ];
}

function aboutNames(
  list: 'outcomes' | 'variables',
  names: readonly string[] | 'all',
  columns: readonly string[] | null,
): string[] {
  if (names === 'all') return [];
  const unusable = names.filter((name) => !isVariableName(name));
  const absent =
    columns === null ? [] : names.filter((name) => isVariableName(name) && !columns.includes(name));
  return [
    ...(names.includes('all')
      ? [
          `\`${list}\`: in a list, \`all\` is a variable of that name; write \`${list}: all\` to allow every one`,
        ]
      : []),
    ...unusable.map(
      (name) =>
        `\`${list}\`: no plan can name \`${name}\`; write the name that the harmonisation map gives it (letters, digits, \`_\` and \`.\`)`,
    ),
    ...(absent.length === 0
      ? []
      : [
          `\`${list}\`: the records have no column ${listed(
            absent.map((name) => `\`${name}\``),
            'or',
          )}; check the spelling, or bring it in by the harmonisation map`,
        ]),
  ];
}

function aboutTemplates(agreement: Agreement, templates: Surroundings['templates']): string[] {
  if (agreement.approval !== 'matching-template')
    return agreement.templates.length === 0
      ? []
      : ['`templates`: they count with `approval: matching-template` alone'];
  // Who signs a plan is not the template's.
  const lists = { ...agreement, statisticians: null };
  return [...templates].flatMap(([path, plan]) =>
    faultsOfPlan(plan, lists, null).map(
      ({ what }) => `\`templates\`: ${path} asks for more than the agreement allows: ${what}`,
    ),
  );
}
