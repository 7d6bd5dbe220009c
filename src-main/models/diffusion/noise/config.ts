import fsp from 'node:fs/promises';
import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { parseJson } from '../../json-file.ts';
import { ANYTHING, checkedConfig } from '../config-file.ts';

/** Where the steps of sampling lie among those of training, as diffusers names it. */
export type Spacing = 'leading' | 'trailing' | 'linspace';

/** Noise that is mixed in by variance: x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps, t = 0 .. trainSteps - 1. */
export interface VarianceConfig {
  kind: 'variance';
  prediction: 'epsilon' | 'v_prediction';
  trainSteps: number;
  betas: { form: 'linear' | 'scaled_linear'; start: number; end: number } | { form: 'squaredcos_cap_v2' } | number[];
  /** the last step is noise alone (arXiv 2305.08891) */
  zeroTerminal: boolean;
  /** undefined: each sampler's own */
  spacing?: Spacing;
  stepsOffset: number;
  /** DDIM's last step goes to the picture itself, not to step 0 */
  endsClean: boolean;
}

/** Flow matching: x = (1 - s) x0 + s eps, s in (0, 1], of which the network is told s * trainSteps. */
export interface FlowConfig {
  kind: 'flow';
  prediction: 'flow';
  trainSteps: number;
  /** s is shifted to shift s / (1 + (shift - 1) s) */
  shift: number;
  /** the shift follows from the picture's tokens instead: from `base` at `baseTokens` to `max` at `maxTokens`, its logarithm or it itself */
  dynamic?: { form: 'exponential' | 'linear'; base: number; max: number; baseTokens: number; maxTokens: number };
}

export type NoiseConfig = VarianceConfig | FlowConfig;

/** Schedulers of diffusers that say how a network was trained; which sampler is used is the user's choice. */
const VARIANCE = [
  ...['DDPM', 'DDIM', 'PNDM', 'LMSDiscrete', 'EulerDiscrete', 'EulerAncestralDiscrete', 'HeunDiscrete'],
  ...['DPMSolverMultistep', 'DPMSolverSinglestep', 'DEISMultistep', 'UniPCMultistep', 'KDPM2Discrete'],
  'KDPM2AncestralDiscrete',
].map((name) => `${name}Scheduler`);
const FLOW = 'FlowMatchEulerDiscreteScheduler';

/** What would change the numbers and has no choice here. */
const ONLY: Record<string, unknown[]> = {
  final_sigmas_type: ['zero'],
  interpolation_type: ['linear'],
  timestep_type: ['discrete'],
  variance_type: ['fixed_small', 'fixed_small_log', 'fixed_large'],
};

/**
 * What only a sampler of that name would do, and ours are named by the user. `clip_sample` is of pixels: diffusers' pipelines of latents
 * don't clip either, whatever the file says.
 */
const SAMPLERS_OWN = [
  ...['clip_sample', 'clip_sample_range', 'sample_max_value', 'dynamic_thresholding_ratio', 'skip_prk_steps'],
  ...['algorithm_type', 'solver_order', 'solver_type', 'solver_p', 'lower_order_final', 'euler_at_final'],
  ...['use_karras_sigmas', 'sigma_min', 'sigma_max', 'predict_x0', 'disable_corrector', 'flow_shift'],
  ...['use_dynamic_shifting', 'time_shift_type'],
];

const step = z.number().int().min(0).max(1000);
const part = z.number().positive().max(1).lt(1);
const variance = z.object({
  num_train_timesteps: z.number().int().min(2).max(100_000).default(1000),
  beta_start: part.default(0.0001),
  beta_end: part.default(0.02),
  beta_schedule: z.enum(['linear', 'scaled_linear', 'squaredcos_cap_v2']).default('linear'),
  trained_betas: z.array(z.number().min(0).max(1)).min(2).max(100_000).optional(),
  prediction_type: z.enum(['epsilon', 'v_prediction']).default('epsilon'),
  timestep_spacing: z.enum(['leading', 'trailing', 'linspace']).optional(),
  steps_offset: step.default(0),
  set_alpha_to_one: z.boolean().default(true),
  rescale_betas_zero_snr: z.boolean().default(false),
});
const shift = z.number().positive().max(100);
const tokens = z.number().int().positive();
const flow = z.object({
  num_train_timesteps: z.number().int().min(2).max(100_000).default(1000),
  shift: shift.default(1),
  use_dynamic_shifting: z.boolean().default(false),
  base_shift: shift.default(0.5),
  max_shift: shift.default(1.15),
  base_image_seq_len: tokens.default(256),
  max_image_seq_len: tokens.default(4096),
  time_shift_type: z.enum(['exponential', 'linear']).default('exponential'),
});

const MOST_BYTES = 1 << 20;

/** Reads a `scheduler/scheduler_config.json`. @throws UserError naming the file and the field */
export async function readNoiseConfig(file: string): Promise<NoiseConfig> {
  const text = await fsp.readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file} can't be opened (${error.code}); check the path`);
  });
  if (text.length > MOST_BYTES) throw new UserError(`${file} has ${text.length} letters, too many for a scheduler's file`); // prettier-ignore
  // Python writes what no JSON has.
  return noiseConfig(parseJson(text.replace(/("lambda_min_clipped"\s*:\s*)-Infinity/, '$1null'), file), file);
}

/** What a diffusers scheduler's configuration says of the noise that a network was trained on. @throws UserError naming the field */
export function noiseConfig(json: unknown, file: string): NoiseConfig {
  const name = String((json as Record<string, unknown> | null)?.['_class_name']).slice(0, 80);
  if (name !== FLOW && !VARIANCE.includes(name))
    throw new UserError(
      `${file}: the noise of a "${name}" is not known here; known are ${[...VARIANCE, FLOW].join(', ')}`,
    );
  const only = { ...ONLY, ...Object.fromEntries(SAMPLERS_OWN.map((field) => [field, ANYTHING])) };
  return name === FLOW
    ? flowConfig(checkedConfig(json, file, flow, only))
    : varianceConfig(checkedConfig(json, file, variance, only), file);
}

function varianceConfig(fields: z.output<typeof variance>, file: string): VarianceConfig {
  const { beta_schedule: form, trained_betas: given, num_train_timesteps: trainSteps } = fields;
  if (given && given.length !== trainSteps)
    throw new UserError(`${file}: "trained_betas" has ${given.length} numbers for ${trainSteps} steps of training`);
  if (fields.rescale_betas_zero_snr && fields.prediction_type === 'epsilon')
    throw new UserError(
      `${file}: "rescale_betas_zero_snr" makes the last step noise alone, from which a network of "epsilon" can't tell a picture; it needs "v_prediction"`,
    );
  const own = form === 'squaredcos_cap_v2' ? { form } : { form, start: fields.beta_start, end: fields.beta_end };
  return {
    ...{ kind: 'variance', prediction: fields.prediction_type, trainSteps, betas: given ?? own },
    ...{ zeroTerminal: fields.rescale_betas_zero_snr, spacing: fields.timestep_spacing },
    ...{ stepsOffset: fields.steps_offset, endsClean: fields.set_alpha_to_one },
  };
}

function flowConfig(fields: z.output<typeof flow>): FlowConfig {
  const { base_shift: base, max_shift: max, base_image_seq_len: baseTokens, max_image_seq_len: maxTokens } = fields;
  const dynamic = { form: fields.time_shift_type, base, max, baseTokens, maxTokens };
  return {
    ...{ kind: 'flow', prediction: 'flow', trainSteps: fields.num_train_timesteps, shift: fields.shift },
    ...(fields.use_dynamic_shifting && { dynamic }),
  };
}
