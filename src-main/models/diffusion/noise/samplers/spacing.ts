import { roundedToEven } from '../../../rounding.ts';
import type { Spacing } from '../config.ts';

export interface SpacedBy {
  trainSteps: number;
  spacing: Spacing;
  stepsOffset: number;
}

/** Whole steps of training from noise to picture, as DDIM takes them: `count` of them. */
export function wholeTimes(count: number, by: SpacedBy): number[] {
  return spacedTimes(count, by).map(roundedToEven);
}

/** As the Euler samplers take them: with `linspace` between whole steps, too. */
export function spacedTimes(count: number, { trainSteps, spacing, stepsOffset }: SpacedBy): number[] {
  const places = Array.from({ length: count }, (_, i) => i);
  switch (spacing) {
    case 'linspace':
      return places.map((i) => (count > 1 ? ((trainSteps - 1) * i) / (count - 1) : 0)).reverse();
    case 'leading':
      return places.map((i) => i * Math.floor(trainSteps / count) + stepsOffset).reverse();
    case 'trailing':
      return places.map((i) => roundedToEven(trainSteps - (i * trainSteps) / count) - 1);
  }
}

/** As DPM-Solver takes them: all but the last of one more, which is the picture. */
export function solverTimes(count: number, by: SpacedBy): number[] {
  return by.spacing === 'trailing' ? wholeTimes(count, by) : wholeTimes(count + 1, by).slice(0, -1);
}

const RHO = 7;

/** Noise levels evenly apart in their seventh root (arXiv 2206.00364), from `most` to `least`. */
export function karrasLevels(count: number, most: number, least: number): number[] {
  const [first, last] = [most ** (1 / RHO), least ** (1 / RHO)];
  return Array.from({ length: count }, (_, i) => (first + (i / Math.max(1, count - 1)) * (last - first)) ** RHO);
}

/** The noise level at a time between whole steps of training. */
export function levelAt(levels: Float32Array, time: number): number {
  const low = Math.min(levels.length - 1, Math.max(0, Math.floor(time)));
  const high = Math.min(levels.length - 1, low + 1);
  return levels[low]! + (levels[high]! - levels[low]!) * (time - low);
}

/** The time of a noise level, between whole steps by its logarithm. @param levels rising */
export function timeOf(level: number, levels: Float32Array): number {
  const wanted = Math.log(Math.max(level, 1e-10));
  const logarithm = (i: number) => Math.fround(Math.log(levels[i]!));
  let low = 0;
  for (let i = 0; i < levels.length - 1; i++) if (wanted >= logarithm(i)) low = i;
  const share = (logarithm(low) - wanted) / (logarithm(low) - logarithm(low + 1));
  return low + Math.min(1, Math.max(0, share));
}
