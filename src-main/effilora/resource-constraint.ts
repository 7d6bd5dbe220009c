import { UserError } from '../engine/types.ts';

/** What an adapter costs with every head active, and what each head is of that. */
export interface HeadCosts {
  /** bytes of gradients and moments, or seconds a step, that freezing can't save */
  fixed: number;
  /** what one active head adds, on average */
  perHead: number;
  heads: number;
}

/**
 * Resource constraint: the smallest ratio that keeps fixed + active heads * perHead within `budget`, in the same unit (trainable
 * bytes, or seconds a step). Throws where even a model with every head frozen is above it.
 */
export function ratioForBudget({ fixed, perHead, heads }: HeadCosts, budget: number, unit: string): number {
  if (fixed > budget) {
    throw new UserError(
      `The Reducer's budget of ${budget} ${unit} can't be met: ${fixed} ${unit} are needed with every head frozen. Raise the budget, or lower rank or targets.`,
    );
  }
  const active = Math.min(heads, Math.floor((budget - fixed) / perHead));
  // A hair above the exact share, so that floor(ratio * heads) doesn't lose a head to rounding.
  return heads === 0 ? 0 : Math.min(1, (heads - active + 1e-6) / heads);
}

/** A budget of numbers that train. */
export interface ParameterBudget {
  /** what each head holds, by the heads' order */
  sizes: number[];
  /** of all heads */
  all: number;
  /** numbers of heads that have to freeze, so that what is left keeps to the budget */
  excess: number;
}

/**
 * Resource constraint in numbers that train: the heads that freeze are chosen so that what still trains (active heads, A, routers, and whatever else
 * learns) is at most `most`. Heads of unlike sites are unlike large, so it is counted, not reckoned on the mean.
 * @param trainables every tensor that learns, its blocks being heads where `firstHead` is there
 * @throws UserError where even with all heads frozen that may, more would train
 */
export function parameterBudget(
  trainables: readonly { size: number; blocks: number; firstHead?: number }[],
  most: number,
  { headsPerSite, minActivePerSite }: { headsPerSite: number; minActivePerSite: number },
): ParameterBudget {
  const sizes: number[] = [];
  let fixed = 0;
  for (const { size, blocks, firstHead } of trainables) {
    if (firstHead === undefined) fixed += size;
    else for (let block = 0; block < blocks; block++) sizes[firstHead + block] = size / blocks;
  }
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const kept = (all * Math.min(minActivePerSite, headsPerSite)) / headsPerSite;
  if (fixed + kept > most)
    throw new UserError(
      `method.reducer.maxParameters is ${most}, and ${fixed + kept} numbers train even with every head frozen that may be (A and the routers never freeze); raise it, or lower method.rank or method.heads, or adapt fewer targets`,
    );
  return { sizes, all, excess: Math.max(0, fixed + all - most) };
}

/** Until two shares of active heads have been timed: freezing whole layers saves up to this share of a step, by what steps of other runs took. */
const SAVED_AT_MOST = 0.4;
/** Some heads always train. */
export const MOST_FROZEN = 0.95;

/**
 * Resource constraint in seconds a step, for policy prefix (frozen heads alone save next to nothing): a step takes a fixed time and one for
 * each active head. Both follow from what steps took with all heads active and with those active last.
 */
export class StepTimeConstraint {
  private seconds: number[] = [];
  private first?: { active: number; seconds: number };

  constructor(
    readonly most: number,
    private readonly heads: number,
  ) {}

  /** A step took so long; steps that observe frozen heads, or are compiled anew, are none of these. */
  took(seconds: number): void {
    this.seconds.push(seconds);
  }

  /**
   * At a selection: the share of heads to freeze from here on, with what the steps since the last selection took. Undefined where none was timed.
   * @param active heads that trained in those
   * @param least the share that is frozen in any case
   */
  ratio(active: number, least: number): { ratio: number; seconds: number; isMet: boolean } | undefined {
    const seconds = middle(this.seconds);
    this.seconds = [];
    if (seconds === undefined) return undefined;
    const before = this.first;
    this.first ??= { active, seconds };
    const isKnown = before !== undefined && before.active > active && before.seconds > seconds;
    const perHead = isKnown
      ? (before.seconds - seconds) / (before.active - active)
      : (SAVED_AT_MOST * seconds) / Math.max(1, active);
    const fixed = seconds - perHead * active;
    const wanted = fixed > this.most ? 1 : ratioForBudget({ fixed, perHead, heads: this.heads }, this.most, 'seconds');
    const ratio = Math.min(MOST_FROZEN, Math.max(least, wanted));
    return { ratio, seconds, isMet: seconds <= this.most };
  }
}

function middle(values: number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
