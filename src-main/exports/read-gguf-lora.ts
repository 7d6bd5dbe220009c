import path from 'node:path';
import { ADAPTER_FORMAT_VERSION } from '../effilora/adapter-schema.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { FileReader } from '../models/file-reader.ts';
import { dequantize } from '../models/gguf/dequantize.ts';
import { readGgufHeader } from '../models/gguf/header.ts';
import { huggingFaceName, permutedHeads, unpermuteRows } from '../models/gguf/names.ts';
import type { GgufHeader, GgufTensor } from '../models/gguf/types.ts';
import { DECODER_SITES, type ModelConfig, type SiteName } from '../models/types.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';

/**
 * Reads llama.cpp's LoRA file as an adapter of method `lora`.
 * @param config of the base model: the file does not say how many heads q and k have, whose rows it keeps interleaved
 * @throws UserError for another kind of file, another architecture, or what a plain LoRA of one rank can't say
 */
export async function readGgufLora(file: string, config: ModelConfig): Promise<StoredAdapter> {
  const reader = await FileReader.open(file);
  try {
    const header = await readGgufHeader(reader);
    checkKind(header, config, file);
    const tensors: NamedTensor[] = [];
    for (const tensor of header.tensors.values()) tensors.push(await readTensor(reader, tensor, config));
    return describe(header, tensors, file);
  } finally {
    await reader.close();
  }
}

function checkKind({ metadata }: GgufHeader, { architecture }: ModelConfig, file: string): void {
  if (metadata.get('general.type') !== 'adapter' || metadata.get('adapter.type') !== 'lora')
    throw new UserError(`${file} is no LoRA file; a whole model is added under models instead`);
  const made = metadata.get('general.architecture');
  if (made !== architecture)
    throw new UserError(`${file} was made for the architecture ${String(made)}, the base model's is ${architecture}`);
}

async function readTensor(reader: FileReader, tensor: GgufTensor, config: ModelConfig): Promise<NamedTensor> {
  const [, weight, kind] = /^(.+)\.lora_(a|b)$/.exec(tensor.name) ?? [];
  const hugging = weight && huggingFaceName(weight, config.architecture === 'gemma3');
  const [, layer, site] = /^model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.weight$/.exec(hugging ?? '') ?? [];
  if (!hugging || !layer || !DECODER_SITES.includes(site as SiteName) || tensor.shape.length !== 2)
    throw new UserError(
      `${reader.path} holds "${tensor.name.slice(0, 80)}", which is no linear of a decoder block; only ${DECODER_SITES.join(', ')} are read`,
    );
  const values = dequantize(await reader.read(tensor.offset, tensor.byteLength), tensor.type);
  if (kind === 'a') return { name: `layers.${layer}.${site}.A`, shape: tensor.shape, data: values };
  const rows = tensor.shape[0]!;
  const heads = permutedHeads(hugging, config);
  if (heads && rows % (2 * heads))
    throw new UserError(`${reader.path}: ${tensor.name} has ${rows} rows, which ${heads} attention heads can't have`);
  return {
    name: `layers.${layer}.${site}.B`,
    shape: [1, ...tensor.shape],
    data: heads ? inOwnOrder(values, rows, heads) : values,
  };
}

function inOwnOrder(values: Float32Array, rows: number, heads: number): Float32Array {
  const width = values.length / rows;
  const out = new Float32Array(values.length);
  unpermuteRows(rows, heads).forEach((from, to) =>
    out.set(values.subarray(from * width, (from + 1) * width), to * width),
  );
  return out;
}

function describe({ metadata }: GgufHeader, tensors: NamedTensor[], file: string): StoredAdapter {
  const ranks = new Set(tensors.filter(({ name }) => name.endsWith('.A')).map(({ shape }) => shape[0]!));
  const [rank] = ranks;
  if (rank === undefined || ranks.size > 1)
    throw new UserError(`${file} holds ${ranks.size} different ranks; only one rank for all linears is read`);
  const alpha = metadata.get('adapter.lora.alpha');
  if (typeof alpha !== 'number' || !(alpha > 0)) throw new UserError(`${file} does not say its alpha; export it again`);
  const sites = [...new Set(tensors.map(({ name }) => name.split('.').slice(1, 3).join('.')))];
  const architecture = String(metadata.get('general.architecture'));
  const name = metadata.get('general.basename') ?? metadata.get('general.base_model.0.name') ?? path.basename(file);
  return {
    tensors,
    description: {
      formatVersion: ADAPTER_FORMAT_VERSION,
      method: {
        name: 'lora',
        rank,
        heads: 1,
        alpha,
        targets: DECODER_SITES.filter((site) => sites.some((own) => own.endsWith(`.${site}`))),
        share: 'global',
        router: 'site',
        dropout: 0,
        rsLora: false,
        dora: false,
      },
      baseModel: { name: String(name), architecture, sha256: '0'.repeat(64) },
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
