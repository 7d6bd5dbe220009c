import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ADAPTER_FORMAT_VERSION } from '../effilora/adapter-schema.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { DECODER_SITES, type SiteName } from '../models/types.ts';
import type { StoredAdapter } from './stored-adapter.ts';
import { readNamedTensors } from './tensor-file.ts';

/** PEFT's adapter_config.json, as far as a plain LoRA depends on it. */
const configSchema = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  rank_pattern: z.record(z.string(), z.unknown()).default({}),
  alpha_pattern: z.record(z.string(), z.unknown()).default({}),
  modules_to_save: z.array(z.string()).nullish(),
  base_model_name_or_path: z.string().nullish(),
});

const KEY = /\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_(A|B|magnitude_vector)(?:\.default)?(?:\.weight)?$/;

/** Reads a PEFT folder as an adapter of method `lora`. @throws UserError for what a plain LoRA can't say */
export async function readPeftFolder(folder: string): Promise<StoredAdapter> {
  const configFile = path.join(folder, 'adapter_config.json');
  const parsed = configSchema.safeParse(parseJson(await fsp.readFile(configFile, 'utf8'), configFile));
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${configFile}, field ${issue.path.join('.')}: ${issue.message}; only PEFT's LoRA is read`);
  }
  const config = parsed.data;
  if (
    Object.keys(config.rank_pattern).length ||
    Object.keys(config.alpha_pattern).length ||
    config.modules_to_save?.length
  )
    throw new UserError(
      `${configFile} gives single modules another rank, alpha or whole weights; only one rank for all is read`,
    );
  const source = path.join(folder, 'adapter_model.safetensors');
  const tensors: NamedTensor[] = [];
  for (const tensor of (await readNamedTensors(source)).tensors) tensors.push(renamed(tensor, source));
  const present = new Set(tensors.map(({ name }) => name.split('.')[2]));
  const sites = [...new Set(tensors.map(({ name }) => name.split('.').slice(1, 3).join('.')))];
  const method = {
    name: 'lora' as const,
    rank: config.r,
    heads: 1,
    alpha: config.lora_alpha,
    targets: DECODER_SITES.filter((site) => present.has(site)),
    share: 'global' as const,
    router: 'site' as const,
    dropout: config.lora_dropout,
    rsLora: config.use_rslora,
    dora: config.use_dora,
  };
  return {
    tensors,
    description: {
      formatVersion: ADAPTER_FORMAT_VERSION,
      method,
      baseModel: { name: config.base_model_name_or_path ?? 'unknown', architecture: 'unknown', sha256: '0'.repeat(64) },
      datasets: [],
      recipe: {},
      metrics: {},
      heads: Object.fromEntries(
        sites.map((site) => [`${site}.0`, { importance: 0, frozenSince: null, dropped: false }]),
      ),
      renormalize: false,
    },
  };
}

/** PEFT's name and shape -> METHOD.md's: B gains its head axis. */
function renamed({ name, shape, data }: NamedTensor, file: string): NamedTensor {
  const [, layer, site, kind] = KEY.exec(name) ?? [];
  if (!layer || !DECODER_SITES.includes(site as SiteName))
    throw new UserError(
      `${file} adapts "${name}", which is no linear of a decoder block; only ${DECODER_SITES.join(', ')} are read`,
    );
  const prefix = `layers.${layer}.${site}`;
  if (kind === 'A') return { name: `${prefix}.A`, shape, data };
  if (kind === 'B') return { name: `${prefix}.B`, shape: [1, ...shape], data };
  return { name: `${prefix}.magnitude`, shape, data };
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(`${file} is not JSON; export the adapter again`);
  }
}
