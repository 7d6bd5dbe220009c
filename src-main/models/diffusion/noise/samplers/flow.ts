import type { FlowConfig } from '../config.ts';
import { shifted } from '../schedule.ts';
import type { SamplingPlan, SamplingStep } from './plan.ts';

/**
 * Euler's steps along a flow.
 * @param shift `shiftFor`'s, or what the family's pipeline reckons
 * @param noises s of each step before the shift, from 1 down, as a family's pipeline has them; undefined: from 1 to the last step of training, as diffusers' scheduler spaces them
 */
export function flowPlan(config: FlowConfig, count: number, shift: number, noises?: number[]): SamplingPlan {
  const { trainSteps } = config;
  // The scheduler's least s is shifted already, unless the shift follows from the picture.
  const least = config.dynamic ? 1 / trainSteps : shifted(1 / trainSteps, config.shift);
  const even = (i: number) => (count > 1 ? 1 + (i / (count - 1)) * (least - 1) : 1);
  const own = noises ?? Array.from({ length: count }, (_, i) => even(i));
  const levels = [...own.map((s) => Math.fround(shifted(s, shift))), 0];
  const steps = own.map((_, i): SamplingStep => {
    const [from, to] = [levels[i]!, levels[i + 1]!];
    const left = to / from;
    return {
      ...{ time: from * trainSteps, sees: 1, guess: { x: 1, prediction: -from } },
      move: { x: left, guess: 1 - left, before: 0, noise: 0 },
    };
  });
  return { start: 1, steps };
}
