import type { VarianceConfig } from '../config.ts';
import { guessAt, noiseLevels } from './levels.ts';
import type { SamplingPlan, SamplingStep } from './plan.ts';
import { levelAt, spacedTimes } from './spacing.ts';

/**
 * Euler's steps along the noise level, and the ancestral form of it, which goes further down and puts new noise in, as k-diffusion has
 * them.
 */
export function eulerPlan(
  config: VarianceConfig,
  shares: Float32Array,
  count: number,
  isAncestral: boolean,
): SamplingPlan {
  const { trainSteps, stepsOffset, prediction, spacing = 'linspace' } = config;
  const all = noiseLevels(shares, config);
  const times = spacedTimes(count, { trainSteps, stepsOffset, spacing });
  const levels = [...times.map((time) => Math.fround(levelAt(all, time))), 0];
  const steps = times.map((time, i): SamplingStep => {
    const [from, to] = [levels[i]!, levels[i + 1]!];
    const noise = isAncestral ? Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2) : 0;
    const left = Math.sqrt(to ** 2 - noise ** 2) / from;
    return {
      ...{ time, sees: 1 / Math.sqrt(from ** 2 + 1), guess: guessAt(from, prediction) },
      move: { x: left, guess: 1 - left, before: 0, noise },
    };
  });
  const most = Math.max(...levels);
  return { start: spacing === 'leading' ? Math.sqrt(most ** 2 + 1) : most, steps };
}
