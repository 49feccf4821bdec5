/** What a site's answer says. Every field of every message that can leave is here; a test walks the generated table of releasable fields and holds that. */
import {
  Diagnosis,
  Objection,
  type Counts,
  type DataProblem,
  type FactorLevels,
  type ObjectiveValue,
  type OneStageEntry,
  type PlanAccepted,
  type Refusal,
  type SiteMessage,
  type StageOneEstimate,
  type StageOneFailure,
} from '@concordat/proto/concordat/v1/site.ts';
import { packedIndex } from '@concordat/shared/linalg/symmetric.ts';
import { DIAGNOSES, OBJECTIONS, PROBLEMS, REFUSALS } from '@concordat/shared/wire/words.ts';

import { hex, levelCell, readingLines, type Cell, type PayloadReading, type PayloadTable } from './tables.ts';

type Payload = NonNullable<SiteMessage['payload']>;

/** `terms`: names of the analysis's parameters, in the plan's order; `measure`: what its effect is, where that is known. */
export function payloadReading(
  payload: Payload,
  terms: readonly string[],
  measure: string | null = null,
): PayloadReading {
  switch (payload.$case) {
    case 'planAccepted':
      return planAccepted(payload.value);
    case 'factorLevels':
      return factorLevels(payload.value);
    case 'stageOneEstimate':
      return stageOneEstimate(payload.value, terms, measure);
    case 'stageOneFailure':
      return stageOneFailure(payload.value, terms);
    case 'oneStageEntry':
      return oneStageEntry(payload.value, terms, measure);
    case 'objectiveValue':
      return objectiveValue(payload.value);
    case 'refusal':
      return refusal(payload.value);
    case 'dataProblem':
      return dataProblem(payload.value);
    case 'runLeft':
      return {
        title: 'The run is closed here',
        sentence: 'This site has closed the run on its side. The message carries no number.',
        tables: [],
      };
  }
}

/** The same for a terminal. */
export function payloadLines(payload: Payload, terms: readonly string[]): string[] {
  return readingLines(payloadReading(payload, terms));
}

function planAccepted({ policyDigest, openPolicy }: PlanAccepted): PayloadReading {
  return {
    title: 'The plan is accepted',
    sentence: 'This site takes part in the plan. The message carries no number of the records.',
    tables: [
      {
        caption: 'Rules in force',
        sentence:
          'Which disclosure rules this site keeps while it answers: a fingerprint of them, not the rules.',
        columns: ['Field', 'Value'],
        rows: [
          ['Disclosure policy, SHA-256', hex(policyDigest) ?? null],
          ['Every threshold is switched off', openPolicy ? 'yes' : 'no'],
        ],
      },
    ],
  };
}

function factorLevels({ variables }: FactorLevels): PayloadReading {
  return {
    title: 'Levels of factors',
    sentence: 'Which codes occur in the columns asked about. How often each occurs is not sent.',
    tables: [
      {
        caption: 'Levels by variable',
        sentence: 'Only codes that enough participants share are listed.',
        columns: ['Variable', 'Level'],
        rows: variables.flatMap(({ variable, levels }) =>
          levels.length === 0 ? [[variable, '(none)']] : levels.map((level) => [variable, levelCell(level)]),
        ),
      },
    ],
  };
}

function stageOneEstimate(
  estimate: StageOneEstimate,
  terms: readonly string[],
  measure: string | null,
): PayloadReading {
  const named = namer(terms, estimate.estimable.length);
  const estimable = indices(estimate.estimable).map(named);
  const gaussian = estimate.residualVariance !== 0;
  return {
    title: "The trial's own estimates",
    sentence:
      'One model was fitted to the records here. Its estimates leave, with their precision and the counts behind them; no record does.',
    tables: [
      estimatesTable(estimate.estimable, estimate.estimates, estimate.vcov, named, measure),
      ...covarianceTables(estimable, estimate.vcov),
      ...countsTables(estimate.counts),
      {
        caption: 'The fit as a whole',
        sentence:
          'How well the model describes the records, taken together: the nearer to zero a log-likelihood, the closer the fit.',
        columns: ['Quantity', 'Value'],
        rows: [
          ['Log-likelihood without any term', estimate.logLikelihoodNull],
          ['Log-likelihood of the model', estimate.logLikelihood],
          [
            gaussian
              ? "Residual variance (in the outcome's unit, squared)"
              : 'Residual variance (0 where the model has none)',
            estimate.residualVariance,
          ],
          ['Steps that the fit took', estimate.rounds],
          [
            'Terms with an unusual scale',
            estimate.badlyScaled.length === 0 ? 'none' : estimate.badlyScaled.map(named).join(', '),
          ],
        ],
      },
      ...(estimate.modifierMeans.length === 0
        ? []
        : [
            {
              caption: 'Means of the effect modifier',
              sentence: 'The average over all participants of this analysis, in the unit of the variable.',
              columns: ['Column of the effect modifier', 'Mean'],
              rows: estimate.modifierMeans.map((mean, i) => [`column ${i + 1}`, mean]),
            },
          ]),
    ],
  };
}

function stageOneFailure(failure: StageOneFailure, terms: readonly string[]): PayloadReading {
  const reason = DIAGNOSES[failure.diagnosis][1];
  return {
    title: 'The model could not be fitted',
    sentence: `No estimate leaves: ${reason}.`,
    tables: [
      {
        caption: 'Reason',
        sentence: 'A code of a closed list, and the terms of the model that it is about.',
        columns: ['Field', 'Value'],
        rows: [
          ['Reason', reason],
          [
            'Terms concerned',
            failure.terms.length === 0
              ? 'none'
              : failure.terms.map((t) => terms[t] ?? `parameter ${t + 1}`).join(', '),
          ],
        ],
      },
      ...countsTables(failure.counts),
    ],
  };
}

function oneStageEntry(
  entry: OneStageEntry,
  terms: readonly string[],
  measure: string | null,
): PayloadReading {
  const { means, deviations, estimable, diagnosis } = entry;
  const named = namer(terms, estimable.length === 0 ? terms.length : estimable.length);
  const own = indices(estimable).map(named);
  const rows = Array.from({ length: Math.max(means.length, deviations.length) }, (_, i) => [
    named(i),
    means[i] ?? null,
    deviations[i] ?? null,
  ]);
  return {
    title: 'Entry into an analysis over all sites',
    sentence:
      'Before the sites fit one model together: how the columns are scaled here, how many participants there are, and where the fit may start.',
    tables: [
      {
        caption: 'Scale of the columns',
        sentence: "Average and spread of each column over all participants here, in the column's own unit.",
        columns: ['Column', 'Mean', 'Standard deviation'],
        rows,
      },
      ...(estimable.length === 0 && entry.estimates.length === 0 && entry.vcov.length === 0
        ? []
        : [
            estimatesTable(estimable, entry.estimates, entry.vcov, named, measure),
            ...covarianceTables(own, entry.vcov),
          ]),
      ...countsTables(entry.counts),
      {
        caption: 'Fit of its own',
        sentence: 'Whether the model could be fitted to the records here alone; if not, why.',
        columns: ['Field', 'Value'],
        rows: [
          [
            'Result',
            diagnosis === Diagnosis.DIAGNOSIS_UNSPECIFIED
              ? 'nothing is said against it'
              : DIAGNOSES[diagnosis][1],
          ],
        ],
      },
    ],
  };
}

function objectiveValue({ values }: ObjectiveValue): PayloadReading {
  return {
    title: 'Part of a sum over all sites',
    sentence: `${values.length} ${values.length === 1 ? 'number, a sum' : 'numbers, each a sum'} over all participants here. The coordinator adds them to those of the other sites.`,
    tables: [
      {
        caption: 'Contributions',
        sentence:
          'Sums over the participants here: of how well the model describes them and how that changes with its parameters, or of products of the columns that it uses. Their order follows from the plan.',
        columns: ['Position', 'Sum'],
        rows: values.map((value, i) => [`${i + 1}`, value]),
      },
    ],
  };
}

function refusal({ rule, threshold, observed, objection }: Refusal): PayloadReading {
  const [code, words] = REFUSALS[rule];
  return {
    title: 'A refusal',
    sentence: 'Nothing is released. The coordinator is told which rule stands against it.',
    tables: [
      {
        caption: 'Rule',
        sentence:
          'The rule and its threshold; how many there really are is told only where the agreement says so.',
        columns: ['Field', 'Value'],
        rows: [
          ['Rule', `${words.replace('{}', `${threshold}`)} (${code})`],
          ['Threshold', threshold],
          ['Count that is told', observed ?? 'not told'],
          [
            "Custodian's objection",
            objection === Objection.OBJECTION_UNSPECIFIED ? 'none' : OBJECTIONS[objection],
          ],
        ],
      },
    ],
  };
}

function dataProblem({ problem }: DataProblem): PayloadReading {
  const [code, words] = PROBLEMS[problem];
  return {
    title: 'The records do not fit the plan',
    sentence: 'Nothing is released but the kind of problem. Where it is stays in the log here.',
    tables: [
      {
        caption: 'Problem',
        sentence: 'A code of a closed list: no value, name or text of the records is in it.',
        columns: ['Field', 'Value'],
        rows: [['Problem', `${words} (${code})`]],
      },
    ],
  };
}

function estimatesTable(
  estimable: readonly boolean[],
  estimates: readonly number[],
  vcov: readonly number[],
  named: (index: number) => string,
  measure: string | null,
): PayloadTable {
  const rows = estimable.map((possible, i): Cell[] => {
    if (!possible) return [named(i), 'no', null, null];
    const at = estimable.slice(0, i).filter(Boolean).length;
    const variance = vcov[packedIndex(at, at)];
    return [
      named(i),
      'yes',
      estimates[at] ?? null,
      variance === undefined ? null : rounded(Math.sqrt(variance)),
    ];
  });
  return {
    caption: 'Estimates by term',
    sentence: `For each term of the model: its size in this trial, and by how much it would typically be off by chance (the standard error).${measure === null ? '' : ` The effect that the analysis is about is a ${measure}.`}`,
    columns: ['Term', 'Estimable here', 'Estimate', 'Standard error (computed from its variance)'],
    rows,
  };
}

/** Packed lower triangle. */
function covarianceTables(names: readonly string[], vcov: readonly number[]): PayloadTable[] {
  if (names.length === 0) return [];
  return [
    {
      caption: 'Variances and covariances',
      sentence:
        'How far each estimate is uncertain (on the diagonal), and how far the uncertainty of two goes together. The upper half would repeat the lower and is not sent.',
      columns: ['Term', ...names],
      rows: names.map((name, i) => [
        name,
        ...names.map((_, j) => (j <= i ? (vcov[packedIndex(i, j)] ?? null) : null)),
      ]),
    },
  ];
}

function countsTables(counts: Counts | undefined): PayloadTable[] {
  if (counts === undefined) return [];
  const { participants, events } = counts;
  return [
    {
      caption: 'Participants and events',
      sentence:
        'How many participants of each arm are in the analysis, and how many of them had an event where the outcome is one.',
      columns: ['Arm', 'Participants', 'Events'],
      rows: Array.from({ length: Math.max(participants.length, events.length) }, (_, arm) => [
        armName(arm, participants.length),
        participants[arm] ?? null,
        events[arm] ?? null,
      ]),
    },
    {
      caption: 'Left out of the analysis',
      sentence: 'How many records are not used, and why.',
      columns: ['Reason', 'Records'],
      rows: [
        ['outside the population of the plan', counts.notInPopulation],
        ['in a treatment that the plan does not compare', counts.otherTreatment],
        ['treatment missing', counts.missingTreatment],
        ['outcome missing', counts.missingOutcome],
        ['covariate missing', counts.missingCovariate],
      ],
    },
  ];
}

function armName(arm: number, arms: number): string {
  if (arms === 1) return 'all';
  if (arm === 0) return 'control';
  return arms === 2 ? 'active' : `active ${arm}`;
}

/**
 * Levels of a factor may be agreed after the plan was explained; where the names are not those of the parameters, none is
 * used, because a wrong name is worse than a number.
 */
function namer(terms: readonly string[], parameters: number): (index: number) => string {
  return (index) => (terms.length === parameters ? terms[index] : undefined) ?? `parameter ${index + 1}`;
}

function indices(flags: readonly boolean[]): number[] {
  return flags.flatMap((flag, i) => (flag ? [i] : []));
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}
