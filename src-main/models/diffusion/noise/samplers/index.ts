import type { SAMPLERS } from '../../../../../src-preload/contract/choices.ts';
import { UserError } from '../../../../engine/types.ts';
import type { VarianceConfig } from '../config.ts';
import { shiftFor, type NoiseSchedule } from '../schedule.ts';
import { ddimPlan } from './ddim.ts';
import { eulerPlan } from './euler.ts';
import { flowPlan } from './flow.ts';
import type { SamplingPlan } from './plan.ts';
import { solverPlan } from './solver.ts';

/** How noise becomes a picture. Flows have one of their own, `flow-euler`; the others are for noise by variance. */
export type SamplerName = (typeof SAMPLERS)[number];

/** Those that a network with this noise can be sampled by; the first is the usual one. */
export const samplersFor = ({ config }: NoiseSchedule): SamplerName[] =>
  config.kind === 'flow' ? ['flow-euler'] : ['ddim', 'euler', 'euler-ancestral', 'dpm++-2m', 'dpm++-2m-karras'];

export interface FlowSteps {
  /** of a flow whose shift follows from the picture: tokens of a picture */
  tokens?: number;
  /** of a flow whose family reckons it otherwise: the shift itself */
  shift?: number;
  /** of a flow: s of each step before the shift, where the family's pipeline has its own */
  noises?: number[];
}

/** The steps from noise to a picture. @throws UserError for a sampler that is none for this noise, or too many steps */
export function samplingPlan(
  schedule: NoiseSchedule,
  sampler: SamplerName,
  count: number,
  { tokens, shift, noises }: FlowSteps = {},
): SamplingPlan {
  const { config, shares } = schedule;
  const fitting = samplersFor(schedule);
  if (!fitting.includes(sampler))
    throw new UserError(`The sampler "${sampler}" is none for this model's noise; take one of ${fitting.join(', ')}`);
  // DPM-Solver takes one step more than it shows.
  const most = config.trainSteps - 1;
  if (!Number.isInteger(count) || count < 1 || count > most)
    throw new UserError(`A picture takes 1 to ${most} steps, and ${count} were asked for`);
  if (config.kind === 'flow') return flowPlan(config, count, shift ?? shiftFor(schedule, tokens), noises);
  const plan = variancePlan(config, shares!, sampler, count);
  if (plan.steps.some(({ time }) => time >= config.trainSteps))
    throw new UserError(
      `Of ${count} steps the first would lie before the noise begins, by the scheduler's steps_offset of ${config.stepsOffset}; take fewer steps`,
    );
  return plan;
}

function variancePlan(config: VarianceConfig, shares: Float32Array, sampler: SamplerName, count: number): SamplingPlan {
  switch (sampler) {
    case 'ddim':
      return ddimPlan(config, shares, count);
    case 'euler':
    case 'euler-ancestral':
      return eulerPlan(config, shares, count, sampler === 'euler-ancestral');
    default:
      return solverPlan(config, shares, count, sampler === 'dpm++-2m-karras');
  }
}
