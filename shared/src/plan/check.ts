import planSchema from '../../schema/plan.schema.json' with { type: 'json' };
import { ConcordatError } from '../errors.ts';
import { sameCode } from './codes.ts';
import { activeArms, analysisFactors, repeatedCodes } from './columns.ts';
import { analysisFindings } from './check-analysis.ts';
import type { Finding, Path } from './findings.ts';
import { parseExpression } from './expression.ts';
import { outcomeVariables } from './outcome.ts';
import type { WrittenOutcome, WrittenPlan } from './schema.ts';

/**
 * Rules between the keys of a plan that its schema accepts. Parts that the schema refused are not looked at, so that
 * a plan with faults of both kinds shows all of them at once.
 */
export function checkPlan(plan: WrittenPlan, sound: (path: Path) => boolean): Finding[] {
  const outcome = sound(['outcome']) ? plan.outcome : null;
  const treatment = sound(['treatment']) ? plan.treatment : undefined;
  const findings: Finding[] = [];
  const report = (path: Path, message: string, remedy: string): void => {
    findings.push({ path, message, remedy, code: 'plan/inconsistent' });
  };

  if (sound(['population']) && plan.population !== undefined)
    findings.push(...populationFindings(plan.population));
  if (sound(['studies']) && Array.isArray(plan.studies) && sound(['minimum_studies'])) {
    if ((plan.minimum_studies ?? 1) > plan.studies.length) {
      report(
        ['minimum_studies'],
        `only ${plan.studies.length} studies are named`,
        'lower it, or name more studies',
      );
    }
  }
  if (treatment !== undefined) {
    const arms = activeArms(treatment);
    if (arms.some((arm) => sameCode(arm, treatment.control))) {
      report(['treatment', 'active'], 'an active arm has the control’s code', 'give each arm its own code');
    }
    for (const arm of repeatedCodes(arms)) {
      report(['treatment', 'active'], `the arm \`${arm}\` is named twice`, 'name each arm once');
    }
  }
  if (outcome !== null) {
    findings.push(...outcomeFindings(outcome));
    if (treatment !== undefined && outcomeVariables(outcome).includes(treatment.variable)) {
      report(
        ['treatment', 'variable'],
        'the treatment is also the outcome',
        'name the variable of the allocated arm',
      );
    }
  }

  // An unknown key may be the treatment's: what follows from its absence is then not said.
  const misspelt =
    plan.treatment === undefined &&
    Object.keys(plan).some((key) => !Object.hasOwn(planSchema.properties, key));
  const analyses = Array.isArray(plan.analyses) ? plan.analyses : [];
  const ambiguous = treatment !== undefined && repeatedCodes(activeArms(treatment)).length > 0;
  const clear =
    sound(['levels']) &&
    Object.values(plan.levels ?? {}).every((levels) => repeatedCodes(levels).length === 0);
  const context = {
    outcome,
    treatment: sound(['treatment']) && !misspelt && !ambiguous ? (plan.treatment ?? null) : 'unknown',
    levels: clear ? (plan.levels ?? {}) : null,
  } as const;
  const usable = analyses.filter((_, i) => sound(['analyses', i]));
  analyses.forEach((analysis, i) => {
    if (!sound(['analyses', i])) return;
    const id = analysis.id.toLowerCase();
    if (analyses.slice(0, i).some((other, j) => sound(['analyses', j]) && other.id.toLowerCase() === id)) {
      report(
        ['analyses', i, 'id'],
        `the id \`${analysis.id}\` is used twice`,
        'give each analysis its own id, different in more than case',
      );
    }
    for (const finding of analysisFindings(analysis, context)) {
      findings.push({ ...finding, path: ['analyses', i, ...finding.path] });
    }
  });

  if (sound(['levels']) && plan.levels !== undefined) {
    const termsRead =
      usable.length === analyses.length && !findings.some((finding) => finding.code === 'plan/term');
    const factors = termsRead ? new Set(usable.flatMap(analysisFactors)) : null;
    for (const [variable, levels] of Object.entries(plan.levels)) {
      for (const level of repeatedCodes(levels)) {
        report(['levels', variable], `the level \`${level}\` is named twice`, 'name each level once');
      }
      if (factors !== null && !factors.has(variable)) {
        report(
          ['levels', variable],
          `no analysis uses \`factor(${variable})\``,
          `write \`factor(${variable})\` among the terms (or \`form: factor\`), or remove these levels`,
        );
      }
    }
  }
  return findings;
}

function outcomeFindings(outcome: WrittenOutcome): Finding[] {
  const findings: Finding[] = [];
  const report = (path: Path, message: string, remedy: string): void => {
    findings.push({ path: ['outcome', ...path], message, remedy, code: 'plan/inconsistent' });
  };
  if (outcome.kind === 'binary' && (outcome.variable === undefined) === (outcome.events === undefined)) {
    report(
      [],
      outcome.variable === undefined
        ? 'a binary outcome without its variable'
        : 'a binary outcome in two forms',
      'write `variable` (and `event`) for one row a participant, or `events` and `trials` for grouped rows',
    );
  }
  const codes =
    outcome.kind === 'ordinal' ? outcome.levels : outcome.kind === 'repeated' ? outcome.visits : [];
  for (const code of repeatedCodes(codes)) {
    report(
      [outcome.kind === 'ordinal' ? 'levels' : 'visits'],
      `\`${code}\` is named twice`,
      'name each once',
    );
  }
  const variables = outcomeVariables(outcome);
  const twice = variables.find((variable, i) => variables.indexOf(variable) < i);
  if (twice !== undefined)
    report([], `the outcome reads \`${twice}\` twice`, 'name a variable for each part');
  return findings;
}

function populationFindings(text: string): Finding[] {
  try {
    parseExpression(text, 'population');
    return [];
  } catch (error) {
    if (!(error instanceof ConcordatError)) throw error;
    return [{ path: ['population'], message: error.message, remedy: error.remedy ?? '', code: error.code }];
  }
}
