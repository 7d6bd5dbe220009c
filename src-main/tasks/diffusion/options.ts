import { UserError } from '../../engine/types.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { samplersFor, samplingPlan, type SamplerName } from '../../models/diffusion/noise/samplers/index.ts';
import { noiseSchedule } from '../../models/diffusion/noise/schedule.ts';
import type { DiffusionFile } from '../../models/diffusion/pipeline/file.ts';
import type { DiffusionTraining } from '../../recipe/diffusion.ts';
import type { BatchOptions } from './batch.ts';
import type { CaptionedReading } from './dataset.ts';
import { usualTimes } from './noised.ts';

/** What is said of pictures, with what a recipe may leave to the model. */
export type WholeTraining = DiffusionTraining & { resolution: number };

const USUAL = {
  minSnr: 5,
  variance: { sampler: 'dpm++-2m', guidance: 7 },
  flow: { sampler: 'flow-euler', guidance: 4 },
} as const;
/** Latents a side that a model is made for that doesn't say it, and those that a flow's transformer sees as one. */
const LATENTS = { variance: 64, flow: 128 };
const PATCH = 2;

/** Pixels a side that become one latent, and of which every side of a picture has to be a multiple. */
export function sidesOf(file: DiffusionFile): { factor: number; multiple: number } {
  const factor = 2 ** (file.vae.channels.length - 1);
  return { factor, multiple: factor * (file.kind === 'z-image' ? PATCH : 2 ** (file.unet.down.length - 1)) };
}

/** Fills in what follows from the model. @throws UserError naming the key of what the model can't do */
export function completed(told: DiffusionTraining, { diffusion, name }: DiffusionModelFile): WholeTraining {
  const { factor, multiple } = sidesOf(diffusion);
  const schedule = noiseSchedule(diffusion.noise);
  const { kind } = schedule.config;
  const resolution = told.resolution ?? (madeFor(diffusion) ?? LATENTS[kind]) * factor;
  if (resolution < multiple)
    throw new UserError(`training.diffusion.resolution is ${resolution}, and ${name} takes pictures whose sides are multiples of ${multiple}; raise it`); // prettier-ignore
  if (kind === 'flow' && told.minSnr)
    throw new UserError(`training.diffusion.minSnr weighs the times of noise that is mixed in by variance, and ${name} learned a flow; leave it out`); // prettier-ignore
  const side = Math.max(multiple, Math.floor(resolution / multiple) * multiple);
  const { width = side, height = side, ...own } = told.sampling;
  for (const [key, length] of Object.entries({ width, height }))
    if (length % multiple !== 0)
      throw new UserError(`training.diffusion.sampling.${key} is ${length}, and ${name} takes multiples of ${multiple}`); // prettier-ignore
  const sampling = { ...USUAL[kind], ...defined(own), width, height };
  const fitting: SamplerName[] = samplersFor(schedule);
  if (!fitting.includes(sampling.sampler))
    throw new UserError(`training.diffusion.sampling.sampler can't be "${sampling.sampler}" with the noise of ${name}; take one of ${fitting.join(', ')}`); // prettier-ignore
  samplingPlan(schedule, sampling.sampler, sampling.steps);
  return {
    ...told,
    ...{ resolution, sampling, times: told.times ?? usualTimes(kind) },
    minSnr: kind === 'flow' ? false : (told.minSnr ?? USUAL.minSnr),
  };
}

const madeFor = (file: DiffusionFile) => (file.kind === 'z-image' ? undefined : file.unet.sampleSize);

const defined = <T extends object>(given: T): T =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;

/** How captioned pictures are read. */
export function readingOf(
  { resolution, shapes, enlarge, trigger }: WholeTraining,
  { diffusion }: DiffusionModelFile,
): CaptionedReading {
  return {
    pictures: { resolution, step: sidesOf(diffusion).multiple, shapes, enlarge },
    captions: { trigger },
    left: (caption) =>
      tokenizersOf(diffusion)
        .map((tokenizer) => tokenizer.encode(caption).left)
        .find((left) => left !== undefined),
  };
}

const tokenizersOf = (file: DiffusionFile): { encode(text: string): { left?: string } }[] =>
  file.kind === 'z-image' ? [file.prompt.tokenizer] : file.texts.map(({ tokenizer }) => tokenizer);

/** What is drawn for a batch. */
export function batchOptions(told: DiffusionTraining): BatchOptions {
  const { crop, flip, trigger, captionDropout, shuffleTags, keepTags, minSnr, noiseOffset, times } = told;
  return {
    vary: { crop, flip },
    captions: { trigger, dropout: captionDropout, ...(shuffleTags && { shuffleTags: { keep: keepTags } }) },
    noise: { offset: noiseOffset, times, ...(minSnr && { minSnr }) },
  };
}
