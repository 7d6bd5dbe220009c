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
