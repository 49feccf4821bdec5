import type { Warning } from '../plan/result-types.ts';

/**
 * Every warning that stage two can give: code, and the message with its remedy. Documented in
 * docs/warnings.md.
 */
const POOLING_WARNINGS = {
  'single-study':
    'Only one study contributes: the pooled estimate is that study’s own, with its own normal interval, and ' +
    'heterogeneity cannot be estimated. Report it as a single study’s result.',
  'no-study-estimates':
    'No study estimates this term: nothing is pooled. Check that the sites hold the variable and both of its levels.',
  'tau2-boundary':
    'The estimate of the between-study variance is zero, the edge of its range: read its interval, not the estimate, ' +
    'before calling the studies homogeneous.',
  'tau2-interval-empty':
    'The studies vary less than chance alone explains: the Q-profile interval of the between-study variance is empty ' +
    'and shown as [0, 0]. Check the studies’ standard errors.',
  'hksj-common-effect':
    'The Hartung–Knapp–Sidik–Jonkman interval is meant for random effects and is used here with a common effect. ' +
    'Use ci: normal, or a random-effects tau2.',
  'hksj-narrower':
    'The Hartung–Knapp–Sidik–Jonkman standard error is smaller than the ordinary one because the studies vary less than ' +
    'expected. Use ci: HKSJ-adhoc to rule this out.',
  'no-residual-variation':
    'The studies’ estimates do not vary at all: the Hartung–Knapp–Sidik–Jonkman standard error is zero and no test can be ' +
    'made of it. Use ci: normal or HKSJ-adhoc.',
  'joint-not-available':
    'Terms are pooled jointly by FE, ML or REML only: with this tau2 each term is pooled by itself, and no between-study ' +
    'covariance is estimated. Use tau2: REML for a joint estimate.',
  'joint-not-converged':
    'The joint between-study covariance matrix did not converge: each term is pooled by itself. Compare with tau2: ML or FE, ' +
    'or pool fewer terms.',
  'joint-boundary':
    'The between-study covariance matrix is singular (a zero variance or a correlation of ±1): usual with few studies. ' +
    'Read the correlations with caution.',
  'term-in-one-study':
    'Only one study estimates this term: it is left out of the joint estimate and shown as that study’s own.',
  'across-not-estimable':
    'The across-trial association is not estimable: it needs more studies than regressors plus one, and study means that ' +
    'differ. Rely on the within-trial interaction.',
  'ecological-bias':
    'Within-trial and across-trial information on the effect modifier are merged in one term, which is open to ecological ' +
    'bias. Use effect_modifier.separate: true.',
} as const;

type PoolingWarningCode = keyof typeof POOLING_WARNINGS;

export function poolingWarning(code: PoolingWarningCode, term?: string): Warning {
  const message = POOLING_WARNINGS[code];
  return term === undefined ? { code, message } : { code, message, term };
}
