import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { readJsonFile } from '../../json-file.ts';
import type { Filter } from '../pictures/resample.ts';
import type { PictureOptions } from './options.ts';

const MOST_BYTES = 16 << 20;
const length = z.number().int().positive().max(16384);
const pixels = z
  .number()
  .int()
  .positive()
  .max(1 << 26);
const sides = z.strictObject({ height: length, width: length });
const byChannel = z.union([z.array(z.number()).length(3), z.number().transform((value) => [value, value, value])]);
const ignored = z.unknown().optional();
const always = z.literal(true).nullish();
const never = z.union([z.literal(false), z.null()]).optional();

/** What every family's file may say. The fields without effect on a single picture are known by name and not kept. */
const common = {
  image_processor_type: z.string(),
  feature_extractor_type: ignored,
  processor_class: ignored,
  data_format: ignored,
  input_data_format: ignored,
  device: ignored,
  return_tensors: ignored,
  disable_grouping: ignored,
  _valid_processor_keys: ignored,
  image_seq_length: ignored,
  video_sampling: ignored,
  do_convert_rgb: always,
  do_resize: always,
  do_rescale: always,
  do_normalize: always,
  rescale_factor: z.number().positive().nullish(),
  image_mean: byChannel.nullish(),
  image_std: byChannel.nullish(),
  resample: z.number().int().nullish(),
  default_to_square: z.boolean().nullish(),
};

const HALVES = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
const CLIP = { image_mean: [0.48145466, 0.4578275, 0.40821073], image_std: [0.26862954, 0.26130258, 0.27577711] };
type Shape = PictureOptions extends infer Each
  ? Each extends unknown
    ? Omit<Each, 'filter' | 'normalization'>
    : never
  : never;

interface Kind {
  family: 'idefics3' | 'llava' | 'gemma3' | 'qwen';
  defaults: Record<string, unknown>;
  /** the fields of its own; gives what the picture becomes */
  shape: z.ZodType<Shape>;
}

const tiles = z
  .strictObject({
    ...common,
    size: z.strictObject({ longest_edge: length.max(4096) }),
    max_image_size: z.strictObject({ longest_edge: length.max(4096) }),
    do_image_splitting: z.boolean(),
    do_pad: z.boolean().nullish(),
  })
  .transform((c): Shape => ({
    ...{ kind: 'tiles', longestEdge: c.size.longest_edge },
    ...{ tile: c.max_image_size.longest_edge, split: c.do_image_splitting },
  }));

const crop = z
  .strictObject({
    ...common,
    size: z.union([z.strictObject({ shortest_edge: length }), length.transform((edge) => ({ shortest_edge: edge }))]),
    crop_size: z.union([sides, length.transform((edge) => ({ height: edge, width: edge }))]),
    do_center_crop: z.literal(true),
    do_pad: never,
  })
  .refine((c) => c.size.shortest_edge >= Math.max(c.crop_size.height, c.crop_size.width), {
    path: ['crop_size'],
    message: 'it is larger than the shortest edge',
  })
  .transform((c): Shape => ({ kind: 'crop', shortestEdge: c.size.shortest_edge, ...c.crop_size }));

const square = z
  .strictObject({
    ...common,
    size: sides,
    do_pan_and_scan: never,
    pan_and_scan_min_crop_size: ignored,
    pan_and_scan_max_num_crops: ignored,
    pan_and_scan_min_ratio_to_activate: ignored,
  })
  .transform((c): Shape => ({ kind: 'square', ...c.size }));

const grid = z
  .strictObject({
    ...common,
    size: z.strictObject({ shortest_edge: pixels, longest_edge: pixels }).nullish(),
    min_pixels: pixels.nullish(),
    max_pixels: pixels.nullish(),
    patch_size: length.max(256),
    temporal_patch_size: length.max(16),
    merge_size: length.max(16),
  })
  .transform((c): Shape => ({
    kind: 'grid',
    leastPixels: c.min_pixels ?? c.size?.shortest_edge ?? 56 * 56,
    mostPixels: c.max_pixels ?? c.size?.longest_edge ?? 28 * 28 * 1280,
    ...{ patch: c.patch_size, frames: c.temporal_patch_size, merge: c.merge_size },
  }));

const IDEFICS: Kind = {
  family: 'idefics3',
  shape: tiles,
  defaults: { ...HALVES, resample: 1, size: { longest_edge: 4 * 364 }, max_image_size: { longest_edge: 364 }, do_image_splitting: true }, // prettier-ignore
};
const LLAVA: Kind = {
  family: 'llava',
  shape: crop,
  defaults: { ...CLIP, resample: 3, size: { shortest_edge: 224 }, crop_size: { height: 224, width: 224 }, do_center_crop: true }, // prettier-ignore
};
const QWEN: Kind = {
  family: 'qwen',
  shape: grid,
  defaults: { ...CLIP, resample: 3, patch_size: 14, temporal_patch_size: 2, merge_size: 2 },
};

/** By the class that transformers opens a folder's pictures with; "Fast" means the same. */
const KINDS: Record<string, Kind> = {
  ...{ Idefics3ImageProcessor: IDEFICS, SmolVLMImageProcessor: IDEFICS },
  ...{ CLIPImageProcessor: LLAVA, CLIPFeatureExtractor: LLAVA, LlavaImageProcessor: LLAVA },
  Gemma3ImageProcessor: {
    family: 'gemma3',
    shape: square,
    defaults: { ...HALVES, resample: 2, size: { height: 224, width: 224 } },
  },
  ...{ Qwen2VLImageProcessor: QWEN, Qwen2_5_VLImageProcessor: QWEN },
};

const FILTERS: Record<number, Filter> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' };

/** Reads what a family's image processor does from its file's content. @throws UserError naming file and field */
export function pictureOptions(json: unknown, file: string): { family: Kind['family']; options: PictureOptions } {
  const given = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  const type = String(given['image_processor_type'] ?? given['feature_extractor_type'] ?? 'none').slice(0, 80);
  const kind = Object.entries(KINDS).find(([name]) => name === type.replace(/(Fast|Pil)$/, ''))?.[1];
  if (!kind)
    throw new UserError(
      `${file}: pictures are prepared by "${type}", which is not supported; supported are ${Object.keys(KINDS).join(', ')}`,
    );
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  const all = { image_processor_type: type, ...kind.defaults, ...present };
  const filter = FILTERS[all['resample' as keyof typeof all] as unknown as number];
  const shape = kind.shape.safeParse(all);
  if (!shape.success) throw unusable(shape.error.issues[0]!, file);
  if (!filter) throw new UserError(`${file}: the filter "resample": ${String(given['resample']).slice(0, 20)} is not supported; supported are 1, 2 and 3`); // prettier-ignore
  const { image_mean, image_std, rescale_factor } = z.object(common).parse(all);
  const normalization = { rescale: rescale_factor ?? 1 / 255, mean: image_mean!, deviation: image_std! };
  if (normalization.deviation.includes(0)) throw new UserError(`${file}: "image_std" is 0; fetch the file again`);
  return { family: kind.family, options: { ...shape.data, filter, normalization } as PictureOptions };
}

function unusable(issue: z.core.$ZodIssue, file: string): UserError {
  const fields = issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.join('.')];
  const what = issue.code === 'unrecognized_keys' ? 'it is not known what it does' : issue.message;
  return new UserError(`${file}: the field "${fields.join('", "').slice(0, 200)}" is not supported (${what})`);
}

/**
 * The image processor's file in a folder: the part of processor_config.json that transformers 5 writes, else preprocessor_config.json.
 * @throws UserError when there is none
 */
export async function processorJson(folder: string): Promise<{ json: unknown; file: string; processor: unknown }> {
  const [both, own] = ['processor_config.json', 'preprocessor_config.json'].map((name) => path.join(folder, name));
  const processor = fs.existsSync(both!) ? await readJsonFile(both!, MOST_BYTES) : undefined;
  const inside = (processor as { image_processor?: unknown } | undefined)?.image_processor;
  if (inside) return { json: inside, file: both!, processor };
  if (!fs.existsSync(own!))
    throw new UserError(`${folder} holds no preprocessor_config.json, which says how pictures are prepared; fetch the whole folder`); // prettier-ignore
  return { json: await readJsonFile(own!, MOST_BYTES), file: own!, processor };
}
