import { counted } from './counted.ts';

/** A share of the heads left out, the least important first, and the loss without them. */
export interface Dropped {
  ratio: number;
  loss: number;
}

/** What of an adapter's structure can be made smaller. */
export interface Sizes {
  /** N, at each place */
  heads: number;
  rank: number;
  alpha: number;
  /** the places by name; undefined where a recipe doesn't choose among them by name */
  targets?: readonly string[];
}

/** Whether fewer heads would have done, by what was measured. */
export interface FewerHeads {
  /** of all heads: so many of the least important ones change the loss by no more than TOLERANCE */
  spared: number;
  text: string;
  certainty: string;
  /** values of a recipe to train it smaller, by dotted key; absent: nothing is to be gained so */
  train?: { label: string; change: Record<string, number | string[]> };
}

/** A loss that is higher by this share of it at most counts as the same. */
export const TOLERANCE = 0.01;

/** The largest measured share up to which no loss is above that with all heads by more than TOLERANCE; undefined: that one isn't known. */
export function sparedShare(curve: readonly Dropped[]): Dropped | undefined {
  const along = [...curve].sort((a, b) => a.ratio - b.ratio);
  const whole = along[0];
  if (whole?.ratio !== 0) return undefined;
  const first = along.findIndex(({ loss }) => loss > whole.loss * (1 + TOLERANCE));
  return first < 0 ? along.at(-1) : along[first - 1];
}

/**
 * Says whether fewer heads would have done, and what to train to see it: the share s of the heads is spared, so N heads at each place
 * become ceil(N * (1 - s)); where that leaves them as they are and there is one at each place, places go that have spared heads alone; else
 * the rank becomes ceil(rank * (1 - s)), and alpha with it, so that what a head weighs stays.
 *
 * @param curve the loss by the share left out, the least important first; with that of none left out
 * @param leastFirst the heads' names, `<layer>.<site>.<head>`, the least important first
 * @returns undefined where the curve says nothing yet
 */
export function fewerHeads(
  curve: readonly Dropped[],
  sizes: Sizes,
  leastFirst: readonly string[],
): FewerHeads | undefined {
  const spared = sparedShare(curve);
  const most = Math.max(0, ...curve.map(({ ratio }) => ratio));
  if (!spared || most === 0) return undefined;
  const whole = curve.find(({ ratio }) => ratio === 0)!.loss;
  const change = (loss: number) => changeOf(loss / whole - 1);
  const certainty = `Up to ${100 * TOLERANCE} % higher counts as the same. Measured on these examples alone: others may need what these don’t.`;
  if (spared.ratio === 1)
    return {
      spared: 1,
      text: `Without any of the heads the loss is ${change(spared.loss)}: on these examples the training changed too little to tell which are needed.`,
      certainty,
    };
  if (spared.ratio === 0) {
    const next = [...curve].sort((a, b) => a.ratio - b.ratio)[1]!;
    return {
      spared: 0,
      text: `Every head is needed: without the ${share(next.ratio)} least important ones the loss is ${change(next.loss)}.`,
      certainty,
    };
  }
  const without = `Without the ${share(spared.ratio)} least important heads the loss is ${change(spared.loss)}`;
  const train = smaller(sizes, spared.ratio, leastFirst);
  return train
    ? { spared: spared.ratio, text: `${without}: fewer heads would have done.`, certainty, train }
    : {
        spared: spared.ratio,
        text: `${without}: these can be left out, but they are too few to train one less at each place.`,
        certainty,
      };
}

function smaller(
  { heads, rank, alpha, targets }: Sizes,
  spared: number,
  leastFirst: readonly string[],
): FewerHeads['train'] {
  const kept = (count: number) => Math.ceil(count * (1 - spared) - 1e-9);
  if (heads > 1) {
    const fewer = kept(heads);
    if (fewer === heads) return undefined;
    return {
      label: `Train with ${counted(fewer, 'head')} at each place`,
      change: { 'method.heads': fewer },
    };
  }
  const gone = new Set(leastFirst.slice(0, Math.floor(spared * leastFirst.length + 1e-9)));
  const siteOf = (head: string) => head.replace(/^\d+\./, '').replace(/\.\d+$/, '');
  const needed = new Set(leastFirst.filter((head) => !gone.has(head)).map(siteOf));
  const stay = targets?.filter((target) => needed.has(target)) ?? [];
  if (stay.length > 0 && stay.length < targets!.length)
    return {
      label: `Train without ${targets!.filter((target) => !needed.has(target)).join(', ')}`,
      change: { 'method.targets': stay },
    };
  const lower = kept(rank);
  if (lower === rank) return undefined;
  return {
    label: `Train with rank ${lower}`,
    change: { 'method.rank': lower, 'method.alpha': Number(((alpha * lower) / rank).toPrecision(6)) },
  };
}

const share = (ratio: number) => `${Math.round(100 * ratio)} %`;

function changeOf(rise: number): string {
  const size = (100 * Math.abs(rise)).toFixed(1);
  return size === '0.0' ? 'the same' : `${size} % ${rise > 0 ? 'higher' : 'lower'}`;
}
