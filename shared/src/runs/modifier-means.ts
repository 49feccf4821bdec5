import type { OneStageEntry } from '@concordat/proto/concordat/v1/site.ts';
import { modifierColumns } from '../plan/design.ts';
import type { StudyResult } from '../plan/result-types.ts';
import { basisKey } from '../plan/terms.ts';
import type { Analysis, Basis } from '../plan/types.ts';

type ModifierMean = NonNullable<StudyResult['modifier_means']>[number];

/**
 * Means and standard deviations of the effect modifier's columns in one study, from the moments of the design's columns
 * that the study entered the fit with. A column that is centred has lost its mean; the across-trial column, treatment ×
 * mean, still has it: over the treatment's own mean or, where that is centred, the arm's share of the participants
 * (`grouped`: a row is several, and that share is not the rows'). Null where a mean is lost.
 */
export function entryModifierMeans(
  analysis: Analysis,
  { means, deviations, counts }: Pick<OneStageEntry, 'means' | 'deviations' | 'counts'>,
  grouped: boolean,
): readonly ModifierMean[] | null {
  const { columns } = analysis;
  const participants = counts?.participants ?? [];
  let total = 0;
  for (const count of participants) total += count;
  const treatment = columns.findIndex(({ role }) => role === 'treatment');
  const centred = columns[treatment]?.product.some(isCentred) ?? false;
  const share = centred ? (grouped ? 0 : (participants[1] ?? 0) / total) : means[treatment]!;
  const found = modifierColumns(analysis).map(({ term, product }): ModifierMean | null => {
    const key = spanKey(product);
    const main = columns.findIndex(
      ({ role, product: own }) => (role === 'adjust' || role === 'modifier') && spanKey(own) === key,
    );
    const across = columns.findIndex(({ role, product: own }) => role === 'across' && meanKey(own) === key);
    const sd = deviations[main] ?? null;
    const mean =
      main >= 0 && !columns[main]!.product.some(isCentred)
        ? means[main]!
        : across < 0
          ? null
          : quotient(means[across]!, share);
    return mean === null ? null : { term, mean, ...(sd === null ? {} : { sd }) };
  });
  const known = found.filter((entry) => entry !== null);
  return found.length === 0 || known.length < found.length ? null : known;
}

const spanKey = (product: readonly Basis[]): string => product.map(basisKey).toSorted().join(' × ');

/** Of the bases that an across-trial column averages. */
const meanKey = (product: readonly Basis[]): string =>
  spanKey(product.flatMap((basis) => (basis.kind === 'study-mean' ? [basis.of] : [])));

const isCentred = (basis: Basis): boolean => 'centred' in basis && (basis.centred ?? false);

function quotient(a: number, b: number): number | null {
  const value = a / b;
  return b !== 0 && Number.isFinite(value) ? value : null;
}
