import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { readSiteName, siteName } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { DECODER_SITES, type SiteName } from '../models/types.ts';
import { storedLora, type ForeignSite } from './foreign-lora.ts';
import type { StoredAdapter } from './stored-adapter.ts';
import { readNamedTensors } from './tensor-file.ts';

/** mlx-lm's adapter_config.json (mlx_lm/lora.py), as far as the adapter depends on it. */
const configSchema = z.looseObject({
  model: z.string().nullish(),
  fine_tune_type: z.string().nullish(),
  use_dora: z.boolean().nullish(),
  num_layers: z.number().int().nullish(),
  lora_layers: z.number().int().nullish(),
  lora_parameters: z.looseObject({
    rank: z.number().int().positive(),
    scale: z.number().positive(),
    dropout: z.number().min(0).lt(1).nullish(),
  }),
});
const KEY = /^(?:language_model\.)?model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.(lora_a|lora_b|m)$/;
const MOST_LAYERS = 1000;

/** Whether an adapter_config.json is mlx-lm's. */
export const isMlxConfig = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && ('lora_parameters' in json || 'fine_tune_type' in json);

/**
 * Reads a folder of mlx-lm as an adapter of method `lora`: adapters.safetensors with lora_a [in, r], lora_b [r, out] and, for
 * DoRA, m [out]; y += scale * (x lora_a) lora_b.
 * @throws UserError for what a plain LoRA can't say
 */
export async function readMlxFolder(folder: string, json: unknown): Promise<StoredAdapter> {
  const configFile = path.join(folder, 'adapter_config.json');
  const type = (json as { fine_tune_type?: unknown }).fine_tune_type;
  if (type === 'full')
    throw new UserError(
      `${configFile}: a full fine-tune of MLX is no adapter; fuse it (mlx_lm.fuse) and open that model`,
    );
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(
      `${configFile}, field ${issue.path.join('.')}: ${issue.message}; only MLX's LoRA and DoRA are read`,
    );
  }
  const config = parsed.data;
  if (!['lora', 'dora', undefined, null].includes(config.fine_tune_type))
    throw new UserError(
      `${configFile}: the fine_tune_type "${String(type).slice(0, 40)}" is not read; lora and dora are`,
    );
  const file = path.join(folder, 'adapters.safetensors');
  if (!fs.existsSync(file))
    throw new UserError(`${folder} holds MLX's adapter_config.json and no adapters.safetensors; copy the whole folder`);
  const { rank, scale, dropout } = config.lora_parameters;
  const isDora = config.fine_tune_type === 'dora' || config.use_dora === true;
  const sites = sitesOf((await readNamedTensors(file)).tensors, { rank, scale, isDora }, file);
  const lora = { rank, alpha: scale * rank, rsLora: false, dropout: dropout ?? 0 };
  const baseModel = { name: config.model ?? 'unknown', architecture: 'unknown' };
  return storedLora(
    sites,
    { ...lora, baseModel, partial: isPartial(sites, config.num_layers ?? config.lora_layers) },
    file,
  );
}

/** MLX adapts the last `layers` layers; a negative number or none means all, and they begin at 0. */
function isPartial(sites: ForeignSite[], layers: number | null | undefined): boolean {
  const [first, last] = [Math.min(...sites.map(({ layer }) => layer)), Math.max(...sites.map(({ layer }) => layer))];
  const targets = new Set(sites.map(({ site }) => site)).size;
  const reaches = layers == null || layers < 0 || layers > last - first;
  return first > 0 || !reaches || sites.length !== (last + 1) * targets;
}

function sitesOf(
  tensors: NamedTensor[],
  { rank, scale, isDora }: { rank: number; scale: number; isDora: boolean },
  file: string,
): ForeignSite[] {
  const parts = new Map<string, Record<string, NamedTensor>>();
  for (const tensor of tensors) {
    const [, layer, site, kind] = KEY.exec(tensor.name) ?? [];
    if (!kind || !DECODER_SITES.includes(site as SiteName) || Number(layer) >= MOST_LAYERS)
      throw new UserError(
        `${file} holds "${tensor.name.slice(0, 120)}", which is no LoRA of a decoder block's linear; only ${DECODER_SITES.join(', ')} are read. Fuse it into its model with mlx_lm.fuse, and open that`,
      );
    const place = siteName({ block: Number(layer), site: site! });
    parts.set(place, { ...parts.get(place), [kind]: tensor });
  }
  return [...parts].map(([place, { lora_a: a, lora_b: b, m: magnitude }]): ForeignSite => {
    const { block: layer, site } = readSiteName(place)!;
    if (!a || !b || (isDora && !magnitude)) throw new UserError(`${file} lacks a tensor of ${place}: it is not whole`);
    if (magnitude && !isDora)
      throw new UserError(`${file} holds ${magnitude.name}, and its configuration says no dora`);
    if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] !== rank)
      throw new UserError(`${file}: ${a.name} is [${a.shape.join(', ')}], where the rank is ${rank}`);
    return { layer, site: site as SiteName, a: transposed(a), b: transposed(b), scale, magnitude };
  });
}

function transposed({ name, shape, data }: NamedTensor): NamedTensor {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column]!;
  return { name, shape: [columns, rows], data: out };
}
