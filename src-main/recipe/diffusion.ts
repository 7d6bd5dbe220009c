import { z } from 'zod';
import type { SiteShape } from '../effilora/types.ts';
import { nearest } from '../engine/nearest.ts';
import { UserError } from '../engine/types.ts';
import { SAMPLERS } from '../../src-preload/contract/choices.ts';

/** Linears and convolutions of a network by what they do; a site's own name stands for itself alone. */
export const SITE_KINDS = ['attention', 'feed-forward', 'projections', 'convolutions'] as const;

/** `method.diffusion`: what of a model that makes pictures learns. */
export const diffusionMethodSchema = z.strictObject({
  sites: z.array(z.string().min(1).max(100)).min(1).default(['attention']),
  textEncoder: z.enum(['frozen', 'adapted']).default('frozen'),
});

const side = z.number().int().min(16).max(4096);
const share = z.number().min(0).max(1);

const samplingSchema = z.strictObject({
  /** what is painted at every evaluation; default: the first captions that are held out, training.samples of them */
  prompts: z.array(z.string().max(10_000)).min(1).max(32).optional(),
  negative: z.string().max(10_000).default(''),
  /** default dpm++-2m, of a flow flow-euler */
  sampler: z.enum(SAMPLERS).optional(),
  steps: z.number().int().min(1).max(500).default(20),
  /** default 7, of a flow 4; 1: none */
  guidance: z.number().min(0).max(100).optional(),
  seed: z.number().int().nonnegative().default(0),
  /** pixels; default the resolution */
  width: side.optional(),
  height: side.optional(),
});

/** `training.diffusion`: how pictures are learned. What is not said and follows from the model is filled in when that is opened. */
export const diffusionTrainingSchema = z.strictObject({
  /** pixels: pictures are learned at about its square of them; default the model's own */
  resolution: side.optional(),
  /** pictures keep their shapes; false: all are cut square */
  shapes: z.boolean().default(true),
  /** pictures that are smaller are enlarged; false: they are left out by name */
  enlarge: z.boolean().default(false),
  crop: z.enum(['center', 'random']).default('center'),
  flip: z.boolean().default(false),
  /** a word that what is learned is called by */
  trigger: z.string().min(1).max(200).optional(),
  /** so often a picture is seen without its caption */
  captionDropout: share.default(0.1),
  /** captions are tags with commas between, in another order each time but for the first keepTags */
  shuffleTags: z.boolean().default(false),
  keepTags: z.number().int().nonnegative().default(0),
  /** min-SNR's gamma; false: every time weighs the same. Default 5; flows have none */
  minSnr: z.union([z.number().positive().max(1000), z.literal(false)]).optional(),
  noiseOffset: share.default(0),
  /** how times are drawn; default uniform, of a flow logit-normal */
  times: z.enum(['uniform', 'logit-normal']).optional(),
  sampling: samplingSchema.prefault({}),
});

export type DiffusionMethod = z.output<typeof diffusionMethodSchema>;
export type DiffusionTraining = z.output<typeof diffusionTrainingSchema>;

const OF_KIND: Record<(typeof SITE_KINDS)[number], (site: SiteShape) => boolean> = {
  attention: ({ site }) => /\.attn|\.attention\.|\.to_(q|k|v|out)/.test(site),
  'feed-forward': ({ site }) => /\.ff\.|\.feed_forward|\.mlp/.test(site),
  projections: ({ site, kind }) => kind === 'linear' && /\.proj_(in|out)$/.test(site),
  convolutions: ({ kind }) => kind === 'conv',
};

const isOfText = ({ group }: Pick<SiteShape, 'group'>) => group.startsWith('text');

/**
 * The sites that a recipe's method.diffusion names, in the model's order.
 * @throws UserError where the model has none of them
 */
export function diffusionTargets({ sites: named, textEncoder }: DiffusionMethod, sites: SiteShape[]): string[] {
  const own = new Set(sites.map(({ site }) => site));
  const chosen = new Set<string>();
  for (const name of named) {
    const isKind = name in OF_KIND;
    const found = sites.filter((site) =>
      isKind ? !isOfText(site) && OF_KIND[name as keyof typeof OF_KIND](site) : site.site === name,
    );
    if (found.length === 0)
      throw new UserError(
        isKind
          ? `method.diffusion.sites names ${name}, and this model has none that could learn; leave it out`
          : `method.diffusion.sites can't be "${name}"; did you mean "${nearest(name, [...SITE_KINDS, ...own])}"? (kinds: ${SITE_KINDS.join(', ')}; or a site's own name: ${[...own].join(', ')})`,
      );
    for (const { site } of found) chosen.add(site);
  }
  const texts = sites.filter(isOfText).map(({ site }) => site);
  if (textEncoder === 'adapted' && texts.length === 0)
    throw new UserError('method.diffusion.textEncoder is adapted, and what reads texts for this model can’t learn; leave it out'); // prettier-ignore
  const namedText = texts.find((site) => chosen.has(site));
  if (textEncoder === 'frozen' && namedText !== undefined)
    throw new UserError(`method.diffusion.sites names ${namedText} of a text encoder, which is frozen; write textEncoder: adapted beside it`); // prettier-ignore
  if (textEncoder === 'adapted' && namedText === undefined) for (const site of texts) chosen.add(site);
  return [...own].filter((site) => chosen.has(site));
}

/** An adapter's targets as a recipe's method.diffusion says them. */
export function diffusionMethodOf(targets: string[]): DiffusionMethod {
  return { sites: targets, textEncoder: targets.some((site) => site.startsWith('text')) ? 'adapted' : 'frozen' };
}

/** What of a recipe says how pictures are read; nothing where it is of texts, or none of ours. */
export function readingOfPictures(recipe: unknown): z.input<typeof diffusionTrainingSchema> {
  const told = (recipe as { training?: { diffusion?: unknown } } | null | undefined)?.training?.diffusion;
  const { resolution, shapes, enlarge, trigger } = diffusionTrainingSchema.safeParse(told).data ?? {};
  return { resolution, shapes, enlarge, trigger };
}
