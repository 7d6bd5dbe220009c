import path from 'node:path';
import { readSiteName, readSiteTensor, siteName, siteTensor } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { FileReader } from '../models/file-reader.ts';
import { dequantize } from '../models/gguf/dequantize.ts';
import { readGgufHeader } from '../models/gguf/header.ts';
import { huggingFaceName, permutedHeads, unpermuteRows } from '../models/gguf/names.ts';
import type { GgufHeader, GgufTensor } from '../models/gguf/types.ts';
import { DECODER_SITES, type ModelConfig, type SiteName } from '../models/types.ts';
import { storedLora, type ForeignSite } from '../trainer/foreign-lora.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';

/**
 * Reads llama.cpp's LoRA file as an adapter of method `lora`.
 * @param config of the base model: the file does not say how many heads q and k have, whose rows it keeps interleaved
 * @throws UserError for another kind of file, another architecture, or what a plain LoRA can't say
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
  if (metadata.has('adapter.alora.invocation_tokens'))
    throw new UserError(`${file} is an activated LoRA (aLoRA), which acts only behind its invocation tokens; not read`);
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
  if (kind === 'a')
    return { name: siteTensor({ block: Number(layer), site: site! }, 'A'), shape: tensor.shape, data: values };
  const rows = tensor.shape[0]!;
  const heads = permutedHeads(hugging, config);
  if (heads && rows % (2 * heads))
    throw new UserError(`${reader.path}: ${tensor.name} has ${rows} rows, which ${heads} attention heads can't have`);
  return {
    name: siteTensor({ block: Number(layer), site: site! }, 'B'),
    shape: tensor.shape,
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

/** llama.cpp's scale is alpha / rank of each linear, and 1 where the file says no alpha (llama-adapter.cpp, get_scale). */
function describe({ metadata }: GgufHeader, tensors: NamedTensor[], file: string): StoredAdapter {
  const alpha = metadata.get('adapter.lora.alpha') ?? 0;
  if (typeof alpha !== 'number' || !(alpha >= 0)) throw new UserError(`${file} says an alpha of ${String(alpha)}`);
  const parts = new Map<string, Partial<Record<'A' | 'B', NamedTensor>>>();
  for (const tensor of tensors) {
    const { part, ...site } = readSiteTensor(tensor.name)!;
    parts.set(siteName(site), { ...parts.get(siteName(site)), [part]: tensor });
  }
  const sites = [...parts].map(([place, { A: a, B: b }]): ForeignSite => {
    const { block: layer, site } = readSiteName(place)!;
    if (!a || !b) throw new UserError(`${file} lacks a tensor of ${place}: it is not whole`);
    return { layer, site: site as SiteName, a, b, scale: alpha === 0 ? 1 : alpha / a.shape[0]! };
  });
  const rank = sites[0]?.a.shape[0] ?? 1;
  const layers = 1 + Math.max(-1, ...sites.map(({ layer }) => layer));
  const targets = new Set(sites.map(({ site }) => site)).size;
  const name = metadata.get('general.basename') ?? metadata.get('general.base_model.0.name') ?? path.basename(file);
  const baseModel = { name: String(name), architecture: String(metadata.get('general.architecture')) };
  const lora = { rank, alpha: alpha || rank, rsLora: false, dropout: 0, baseModel };
  return storedLora(sites, { ...lora, partial: sites.length !== layers * targets }, file);
}
