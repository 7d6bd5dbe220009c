import type { VarianceConfig } from '../config.ts';
import type { Mixture } from '../schedule.ts';
import { roundedToEven } from '../../../rounding.ts';
import { guessAt, noiseLevels } from './levels.ts';
import type { SamplingPlan, SamplingStep } from './plan.ts';
import { karrasLevels, levelAt, solverTimes, timeOf } from './spacing.ts';

/** DPM-Solver++ (arXiv 2211.01095), of second order by the guess of the step before: "DPM++ 2M". */
export function solverPlan(
  config: VarianceConfig,
  shares: Float32Array,
  count: number,
  isKarras: boolean,
): SamplingPlan {
  const all = noiseLevels(shares, config);
  const { times, levels } = isKarras ? karras(all, count, config) : spaced(all, count, config);
  const mixtures = [...levels, 0].map((level) => mixtureOf(Math.fround(level)));
  const steps = times.map((time, i): SamplingStep => {
    const [from, to] = [mixtures[i]!, mixtures[i + 1]!];
    // Of x = x0 + level eps, which is x / picture here.
    const { x, prediction } = guessAt(from.noise / from.picture, config.prediction);
    return {
      ...{ time, sees: 1, guess: { x: x / from.picture, prediction } },
      move: moveOf(i > 0 && i < count - 1 ? mixtures[i - 1] : undefined, from, to),
    };
  });
  return { start: 1, steps };
}

const mixtureOf = (level: number): Mixture => {
  const picture = 1 / Math.sqrt(level ** 2 + 1);
  return { picture, noise: level * picture };
};

/** @param before undefined: of first order */
function moveOf(before: Mixture | undefined, from: Mixture, to: Mixture): SamplingStep['move'] {
  const x = to.noise / from.noise;
  const distance = (a: Mixture, b: Mixture) => Math.log(b.picture / b.noise) - Math.log(a.picture / a.noise);
  const ahead = distance(from, to);
  const whole = to.picture * (1 - Math.exp(-ahead));
  if (!before) return { x, guess: whole, before: 0, noise: 0 };
  const half = (0.5 * whole * ahead) / distance(before, from);
  return { x, guess: whole + half, before: -half, noise: 0 };
}

function spaced(all: Float32Array, count: number, { trainSteps, stepsOffset, spacing = 'linspace' }: VarianceConfig) {
  const times = solverTimes(count, { trainSteps, stepsOffset, spacing });
  return { times, levels: times.map((time) => levelAt(all, time)) };
}

function karras(all: Float32Array, count: number, { betas }: VarianceConfig) {
  const levels = karrasLevels(count, all.at(-1)!, all[0]!);
  const isCosine = !Array.isArray(betas) && betas.form === 'squaredcos_cap_v2';
  const whole = isCosine ? Math.trunc : roundedToEven;
  return { times: levels.map((level) => whole(timeOf(level, all))), levels };
}
