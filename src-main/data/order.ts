import { randomStream, shuffled } from '../engine/random.ts';

/** Where a run stands in its data. The order itself follows from the seed, so that this is all a checkpoint needs. */
export interface OrderState {
  epoch: number;
  /** examples taken of this epoch */
  taken: number;
}

/**
 * The order of one epoch, as indices into all examples. An example of a dataset of weight w is seen floor(w) times, and a
 * random share w - floor(w) of them once more, other ones each epoch.
 */
export function epochOrder(
  sizes: number[],
  weights: number[],
  epoch: number,
  seed: number,
  shuffle: boolean,
): number[] {
  const random = randomStream(seed, `epoch ${epoch}`);
  const order: number[] = [];
  let start = 0;
  sizes.forEach((size, source) => {
    const weight = weights[source] ?? 1;
    const all = Array.from({ length: size }, (_, i) => start + i);
    const add = (indices: number[]) => {
      for (const index of indices) order.push(index);
    };
    for (let copy = 1; copy <= weight; copy++) add(all);
    const rest = Math.round((weight % 1) * size);
    if (rest) add(inOrder(shuffled(all, random).slice(0, rest)));
    start += size;
  });
  return shuffle ? shuffled(order, random) : order;
}

/** Takes the next `count` examples, into the next epochs where one ends. */
export class DataOrder {
  /** undefined: as the examples come, until it is known how many there are */
  private order: number[] | undefined;

  /**
   * @param sizes undefined: one dataset that is still read, without a shuffle
   * @param arranged the order of an epoch as it is taken, where any won't do
   */
  constructor(
    private sizes: number[] | undefined,
    private readonly weights: number[],
    private readonly seed: number,
    private readonly shuffle: boolean,
    private at: OrderState = { epoch: 0, taken: 0 },
    private readonly arranged: (order: number[]) => number[] = (order) => order,
  ) {
    this.order = sizes && this.orderOf(sizes, at.epoch);
  }

  private orderOf(sizes: number[], epoch: number): number[] {
    return this.arranged(epochOrder(sizes, this.weights, epoch, this.seed, this.shuffle));
  }

  get state(): OrderState {
    return { ...this.at };
  }

  get isKnown(): boolean {
    return this.order !== undefined;
  }

  /** Its dataset was read to its end. */
  know(sizes: number[]): void {
    this.sizes = sizes;
    this.order = this.orderOf(sizes, this.at.epoch);
  }

  next(count: number): number[] {
    const out: number[] = [];
    while (out.length < count) {
      // More were taken where a resumed run's data has become less.
      if (this.order && this.at.taken >= this.order.length) {
        this.at = { epoch: this.at.epoch + 1, taken: 0 };
        this.order = this.orderOf(this.sizes!, this.at.epoch);
      }
      out.push(this.order ? this.order[this.at.taken]! : this.at.taken);
      this.at.taken++;
    }
    return out;
  }
}

const inOrder = (indices: number[]) => indices.sort((a, b) => a - b);

/** `count` of the numbers below `of` (all where there are fewer), in order: by seed and name the same ones each time. */
export function seededChoice(of: number, count: number, seed: number, name: string): number[] {
  const all = Array.from({ length: of }, (_, i) => i);
  return count >= of ? all : inOrder(shuffled(all, randomStream(seed, name)).slice(0, count));
}

/** Held-out examples that a loss is worth something on: as many a share takes at least, where that leaves enough to learn from. */
export const LEAST_HELD_OUT = 10;
/** More of the examples than one in so many are not taken for that. */
const ONE_IN = 4;

/**
 * How many of so many examples are held out: from 1 on that many; below, a share of them, and LEAST_HELD_OUT at least where there are
 * four times as many, a quarter where there are fewer. A share of 0 is none.
 */
export function heldOutCount(examples: number, share: number): number {
  if (share >= 1) return Math.max(0, Math.min(share, examples - 1));
  const least = share === 0 ? 0 : Math.min(LEAST_HELD_OUT, Math.floor(examples / ONE_IN));
  return Math.max(Math.round(share * examples), least);
}

/** What is to be said of a part held out that is small; undefined where it is none, or large enough. */
export function fewHeldOut(heldOut: number, examples: number): string | undefined {
  if (heldOut === 0 || heldOut >= LEAST_HELD_OUT) return undefined;
  const held = heldOut === 1 ? `Only one of ${examples} examples is` : `Only ${heldOut} of ${examples} examples are`;
  return `${held} held out: a loss measured on so few is a hint, no more. With ${ONE_IN * LEAST_HELD_OUT} examples or more ${LEAST_HELD_OUT} are held out.`;
}

/** Splits off `share` of so many examples (or that many, from 1 on) by a seeded shuffle; both parts are indices, in order. */
export function heldOutSplit(examples: number, share: number, seed: number): { train: number[]; heldOut: number[] } {
  const heldOut = seededChoice(examples, heldOutCount(examples, share), seed, 'held-out split');
  const chosen = new Set(heldOut);
  const train: number[] = [];
  for (let i = 0; i < examples; i++) if (!chosen.has(i)) train.push(i);
  return { train, heldOut };
}
