/** What a coordinator's message asks of a site, field by field. */
import {
  Objective,
  type CoordinatorMessage,
  type Entry,
  type EntryQuestion,
  type FactorLevelsQuestion,
  type ObjectiveQuestion,
  type PlanOffer,
  type StageOneQuestion,
} from '@concordat/proto/concordat/v1/coordinator.ts';
import type { FactorLevelList } from '@concordat/proto/concordat/v1/header.ts';
import { sha256, toHex } from '@concordat/shared/wire/digest.ts';

import { hex, levelCell, type Cell, type PayloadReading, type PayloadTable } from './tables.ts';

type Question = NonNullable<CoordinatorMessage['payload']>;

export function questionReading(question: Question): PayloadReading {
  switch (question.$case) {
    case 'planOffer':
      return planOffer(question.value);
    case 'factorLevelsQuestion':
      return factorLevelsQuestion(question.value);
    case 'stageOneQuestion':
      return stageOneQuestion(question.value);
    case 'entryQuestion':
      return entryQuestion(question.value);
    case 'objectiveQuestion':
      return objectiveQuestion(question.value);
    case 'runClosed':
      return {
        title: 'The run is over',
        sentence: 'The site is asked nothing more under this run. The message carries no number.',
        tables: [],
      };
  }
}

function planOffer({ plan, roster, statistician, signature }: PlanOffer): PayloadReading {
  const signed = statistician.length > 0;
  return {
    title: 'A plan is offered',
    sentence: 'The site is asked to take part in this plan, and is asked nothing that the plan does not say.',
    tables: [
      {
        caption: 'The offer',
        sentence: 'Who asks for what, and how many sites must take part before anything is published.',
        columns: ['Field', 'Value'],
        rows: [
          ['Plan file, SHA-256', toHex(sha256(plan))],
          ['Key of the statistician who signed it', signed ? (hex(statistician) ?? null) : 'not signed'],
          ['Signature', signed ? (hex(signature) ?? null) : 'none'],
          ['Sites that must take part', roster?.minimumStudies ?? null],
          ['Sums are masked', roster?.masked === true ? 'yes' : 'no'],
        ],
      },
      {
        caption: 'Sites that are asked',
        sentence: 'Each signs its answers with its own key.',
        columns: ['Study', 'Public signing key'],
        rows: (roster?.sites ?? []).map(({ study, key }) => [study, hex(key) ?? null]),
      },
      textTable('The plan as written', 'The plan file, line by line.', plan),
    ],
  };
}

function factorLevelsQuestion({ variables }: FactorLevelsQuestion): PayloadReading {
  return {
    title: 'Question: which levels do these factors have?',
    sentence:
      'The plan does not declare the levels of these variables, so that they are agreed with the sites first.',
    tables: [
      {
        caption: 'Variables asked about',
        sentence: 'Codes alone are asked for, not how often each occurs.',
        columns: ['Position', 'Variable'],
        rows: variables.map((variable, i) => [`${i + 1}`, variable]),
      },
    ],
  };
}

function stageOneQuestion({ agreedLevels }: StageOneQuestion): PayloadReading {
  return {
    title: "Question: what are this trial's own estimates?",
    sentence: "The analysis's model is to be fitted to the site's own records. No parameter is told.",
    tables: levelTables(agreedLevels),
  };
}

function entryQuestion({ agreedLevels }: EntryQuestion): PayloadReading {
  return {
    title: 'Question: does this trial take part in the fit over all sites?',
    sentence: 'How the columns are scaled at the site, and where the fit may start. No parameter is told.',
    tables: levelTables(agreedLevels),
  };
}

const OBJECTIVES: Readonly<Record<Objective, string>> = {
  [Objective.OBJECTIVE_UNSPECIFIED]: 'nothing that is known',
  [Objective.UNRECOGNIZED]: 'nothing that is known',
  [Objective.OBJECTIVE_LOG_LIKELIHOOD]: 'log-likelihood',
  [Objective.OBJECTIVE_LAPLACE_LOG_LIKELIHOOD]: 'log-likelihood with random effects integrated out (Laplace)',
  [Objective.OBJECTIVE_SUFFICIENT_STATISTICS]: 'sufficient statistics: sums of products of columns',
  [Objective.OBJECTIVE_GENERALISED_LEAST_SQUARES]: 'crossproducts weighted by the covariance between visits',
  [Objective.OBJECTIVE_FIRTH_SCORE]: 'score and information, penalised as by Firth',
  [Objective.OBJECTIVE_RISK_SETS]: "sums over risk sets at the grid's times",
  [Objective.OBJECTIVE_PROPORTIONAL_HAZARDS]: 'test of proportional hazards',
  [Objective.OBJECTIVE_STUDY_EFFECTS]: "the study's own effects",
  [Objective.OBJECTIVE_EXPECTED_INFORMATION]: 'expected information',
};

const ORDERS = ['value', 'value and gradient', 'value, gradient and Hessian'];

function objectiveQuestion(question: ObjectiveQuestion): PayloadReading {
  const { agreedLevels, step, objective, theta, order, length, entry, sum } = question;
  return {
    title: `Question ${step} of a fit over all sites`,
    sentence:
      "The site's part of a sum at the parameters that are told. The site refuses what is not the optimiser's next question.",
    tables: [
      {
        caption: 'What is asked',
        sentence: 'A quantity of a closed list, and how many numbers the answer has.',
        columns: ['Field', 'Value'],
        rows: [
          ['Step', step],
          ['Quantity', `${OBJECTIVES[objective]} (${objective})`],
          ['Derivatives', `${ORDERS[order] ?? 'unknown'} (${order})`],
          ['Numbers in the answer', length],
        ],
      },
      numbered(
        'Parameters asked about',
        "Values on the fit's own standardised scale, in the plan's order.",
        'Parameter',
        theta,
      ),
      ...entryTables(entry),
      ...(sum.length === 0
        ? []
        : [
            numbered(
              'Sum of the answers before',
              'Over all sites that answered the step before.',
              'Position',
              sum,
            ),
          ]),
      ...levelTables(agreedLevels),
    ],
  };
}

function entryTables(entry: Entry | undefined): PayloadTable[] {
  if (entry === undefined) return [];
  const { studies, participants, centre, scale, start, deviations } = entry;
  return [
    {
      caption: 'What the entries came to',
      sentence: 'Over all sites that take part.',
      columns: ['Quantity', 'Count'],
      rows: [
        ['Studies', studies],
        ['Participants', participants],
      ],
    },
    {
      caption: 'Common scale of the columns',
      sentence: "By how much each column is shifted and divided at every site, in the column's own unit.",
      columns: ['Column', 'Centre', 'Scale'],
      rows: Array.from({ length: Math.max(centre.length, scale.length) }, (_, i): Cell[] => [
        `column ${i + 1}`,
        centre[i] ?? null,
        scale[i] ?? null,
      ]),
    },
    numbered(
      'Start of the fit',
      'Values of the parameters from which the optimiser begins.',
      'Parameter',
      start,
    ),
    ...(deviations.length === 0
      ? []
      : [
          numbered(
            'Random effects to start from',
            'Standard deviations between studies.',
            'Random effect',
            deviations,
          ),
        ]),
  ];
}

function levelTables(lists: readonly FactorLevelList[]): PayloadTable[] {
  if (lists.length === 0) return [];
  return [
    {
      caption: 'Levels agreed before',
      sentence: 'Codes of factors that the plan does not declare, the reference first.',
      columns: ['Variable', 'Level'],
      rows: lists.flatMap(({ variable, levels }) => levels.map((level) => [variable, levelCell(level)])),
    },
  ];
}

function numbered(caption: string, sentence: string, name: string, values: readonly number[]): PayloadTable {
  return { caption, sentence, columns: [name, 'Value'], rows: values.map((value, i) => [`${i + 1}`, value]) };
}

/** A text that is logged as it was written. */
export function textTable(caption: string, sentence: string, text: string): PayloadTable {
  return {
    caption,
    sentence,
    columns: ['Line', 'Text'],
    rows: text
      .replace(/\n$/, '')
      .split('\n')
      .map((line, i) => [`${i + 1}`, line]),
  };
}
