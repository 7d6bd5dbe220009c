import { randomStream } from './random.ts';
import type { ReducerOptions } from './types.ts';

/** Whether heads are selected after the update of `step` (1-based): at warmup, warmup + interval, ... */
export function selects({ warmup, interval }: ReducerOptions, step: number): boolean {
  return step >= warmup && (step - warmup) % interval === 0;
}

/** The share of heads to freeze at a selection: `ratio`, or with schedule cubic growing to it along 1 - (1 - t)^3 (AdaLoRA). */
export function ratioAt({ schedule, warmup, finalStep }: ReducerOptions, ratio: number, step: number): number {
  if (schedule === 'step' || finalStep === undefined || step >= finalStep) return ratio;
  const t = (step - warmup) / (finalStep - warmup);
  return ratio * (1 - (1 - t) ** 3);
}

/**
 * The heads in the order in which they freeze, first to freeze first; equal ones in their own order (layer, site, head).
 * topk: lowest importance first. sample: Gumbel top-k, i.e. the active set is drawn without replacement with probability
 * proportional to importance^(1 / temperature) (Kool et al., arXiv 1903.06059).
 */
export function freezeOrder(
  importance: ArrayLike<number>,
  options: Pick<ReducerOptions, 'policy' | 'temperature' | 'seed'>,
  step: number,
): number[] {
  const keys = Array.from(importance);
  if (options.policy === 'sample') {
    const next = randomStream(options.seed, `selection.${step}`);
    keys.forEach((score, k) => {
      const gumbel = -Math.log(-Math.log(next() || Number.MIN_VALUE));
      keys[k] = Math.log(score) / options.temperature + gumbel;
    });
  }
  return keys.map((_, k) => k).sort((a, b) => (keys[a] === keys[b] ? a - b : keys[a]! - keys[b]!));
}

/** What has to freeze besides a share of the heads. */
export interface Excess {
  /** numbers that are still to be frozen */
  numbers: number;
  /** what each head holds */
  sizes: ArrayLike<number>;
}

/**
 * Freezes the first floor(ratio * M) of `order`, and as many more as hold the numbers of `excess`, leaving each site's last
 * `minActivePerSite` heads active. Head k belongs to site floor(k / headsPerSite).
 */
export function freezeFirst(
  order: number[],
  ratio: number,
  headsPerSite: number,
  minActivePerSite: number,
  excess: Excess = { numbers: 0, sizes: [] },
): Set<number> {
  const count = Math.floor(ratio * order.length);
  let left = excess.numbers;
  const active = new Map<number, number>();
  const frozen = new Set<number>();
  for (const head of order) {
    if (frozen.size >= count && left <= 0) break;
    const site = Math.floor(head / headsPerSite);
    const stay = active.get(site) ?? headsPerSite;
    if (stay <= minActivePerSite) continue;
    active.set(site, stay - 1);
    frozen.add(head);
    left -= excess.sizes[head] ?? 0;
  }
  return frozen;
}
