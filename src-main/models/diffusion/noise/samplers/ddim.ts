import type { VarianceConfig } from '../config.ts';
import type { SamplingPlan, SamplingStep } from './plan.ts';
import { wholeTimes } from './spacing.ts';

/** DDIM (arXiv 2010.02502), without noise of its own. */
export function ddimPlan(config: VarianceConfig, shares: Float32Array, count: number): SamplingPlan {
  const { trainSteps, stepsOffset, prediction } = config;
  const apart = Math.floor(trainSteps / count);
  const shareOf = (time: number) => (time >= 0 ? shares[time]! : config.endsClean ? 1 : shares[0]!);
  const steps = wholeTimes(count, { trainSteps, stepsOffset, spacing: config.spacing ?? 'leading' }).map((time) =>
    ddimStep(time, shareOf(time), shareOf(time - apart), prediction),
  );
  return { start: 1, steps };
}

function ddimStep(time: number, from: number, to: number, prediction: VarianceConfig['prediction']): SamplingStep {
  const [picture, noise] = [Math.sqrt(from), Math.sqrt(1 - from)];
  const guess = prediction === 'epsilon' ? { x: 1 / picture, prediction: -noise / picture } : { x: picture, prediction: -noise }; // prettier-ignore
  // eps = (x - picture x0) / noise
  const left = Math.sqrt(1 - to) / noise;
  return { time, sees: 1, guess, move: { x: left, guess: Math.sqrt(to) - left * picture, before: 0, noise: 0 } };
}
