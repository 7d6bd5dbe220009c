/**
 * One step of sampling, from the latents x to those of the next step, as numbers. With p the network's prediction and x0 what the
 * finished latents are guessed to be by it:
 *
 *     p = network(sees * x, time)        x0 = guess.x * x + guess.prediction * p
 *     x := move.x * x + move.guess * x0 + move.before * (x0 of the step before) + move.noise * eps
 */
export interface SamplingStep {
  /** as the network is told it */
  time: number;
  sees: number;
  guess: { x: number; prediction: number };
  move: { x: number; guess: number; before: number; noise: number };
}

/** All steps of a picture. */
export interface SamplingPlan {
  /** how large the noise is that x begins as */
  start: number;
  steps: SamplingStep[];
}
