import { UserError } from '../engine/types.ts';
import { ggufName, permutedHeads } from '../models/gguf/names.ts';
import { quantize, type WritableType } from '../models/gguf/quantize.ts';
import { ggufValue, type GgufTensorToWrite } from '../models/gguf/write.ts';
import { ropeFrequencies } from '../models/rope.ts';
import type { ModelConfig, ModelFile } from '../models/types.ts';
import { reordered } from './gguf-lora.ts';
import { ggufTokenizer } from './gguf-tokenizer-of-folder.ts';
import type { MergedTensors } from './merge.ts';

/** A Hugging Face folder as llama.cpp's converter would lay it out: metadata and tensors of a GGUF file. */
export async function ggufOfFolder(
  base: ModelFile,
  merged: MergedTensors,
  typeOf: (tensor: { name: string; shape: number[] }) => WritableType,
): Promise<{ entries: Map<string, Uint8Array>; tensors: GgufTensorToWrite[] }> {
  const { config } = base;
  const gemma = config.architecture === 'gemma3';
  const tensors = base.tensors.flatMap(({ name: hugging, shape }): GgufTensorToWrite[] => {
    const name = ggufName(hugging, gemma);
    if (!name) return [];
    const type = typeOf({ name, shape });
    return [{ name, shape, type, bytes: async () => quantize(await tensorOf(hugging, shape, config, merged), type) }];
  });
  const factors = ropeFactors(config);
  if (factors)
    tensors.push({
      name: 'rope_freqs.weight',
      shape: [factors.length],
      type: 'f32',
      bytes: async () => quantize(factors, 'f32'),
    });
  return { entries: new Map([...hyperparameters(config), ...(await ggufTokenizer(base))]), tensors };
}

async function tensorOf(
  name: string,
  shape: number[],
  config: ModelConfig,
  merged: MergedTensors,
): Promise<Float32Array> {
  const values = await merged.read(name);
  const heads = permutedHeads(name, config);
  if (heads) return reordered(values, shape[0]!, heads);
  // The converter stores gemma's norms as 1 + weight.
  return config.gemmaNorms && name.endsWith('norm.weight') ? values.map((value) => value + 1) : values;
}

/** GGUF specification, and llama.cpp's llama-arch.cpp for the names. */
function hyperparameters(config: ModelConfig): Map<string, Uint8Array> {
  const { sections } = config.rope;
  const architecture = sections ? 'qwen2vl' : config.architecture;
  const entries = new Map([['general.architecture', ggufValue.string(architecture)]]);
  const u32 = (name: string, value: number) => entries.set(`${architecture}.${name}`, ggufValue.u32(value));
  const f32 = (name: string, value: number) => entries.set(`${architecture}.${name}`, ggufValue.f32(value));
  u32('block_count', config.layers);
  u32('embedding_length', config.hiddenSize);
  u32('feed_forward_length', config.intermediateSize);
  u32('context_length', config.contextLength);
  u32('attention.head_count', config.attentionHeads);
  u32('attention.head_count_kv', config.keyValueHeads);
  u32('attention.key_length', config.headSize);
  u32('attention.value_length', config.headSize);
  u32('rope.dimension_count', config.headSize);
  u32('vocab_size', config.vocabularySize);
  f32('attention.layer_norm_rms_epsilon', config.normEpsilon);
  f32('rope.freq_base', config.rope.theta);
  // Of four, the last is no axis of a picture's.
  if (sections) entries.set('qwen2vl.rope.dimension_sections', ggufValue.i32s([...sections, 0]));
  const window = config.slidingWindow.find((size) => size !== undefined);
  if (window !== undefined) u32('attention.sliding_window', window);
  const { scaling } = config.rope;
  if (scaling?.type === 'linear' || scaling?.type === 'yarn') {
    entries.set(`${architecture}.rope.scaling.type`, ggufValue.string(scaling.type));
    f32('rope.scaling.factor', scaling.factor);
  }
  if (scaling?.type === 'yarn') {
    // llama.cpp multiplies YaRN's own factor by this one, and has its ramp at the usual places.
    const own = scaling.factor > 1 ? 0.1 * Math.log(scaling.factor) + 1 : 1;
    u32('rope.scaling.original_context_length', scaling.originalContextLength);
    if (scaling.attentionFactor !== undefined) f32('rope.scaling.attn_factor', scaling.attentionFactor / own);
  }
  if (scaling?.type === 'dynamic' || scaling?.type === 'longrope' || !hasUsualRamp(scaling))
    throw new UserError(
      `GGUF can't say this ${scaling!.type} RoPE scaling; export the merged model as safetensors instead`,
    );
  return entries;
}

const hasUsualRamp = (scaling: ModelConfig['rope']['scaling']) =>
  scaling?.type !== 'yarn' ||
  ((scaling.betaFast ?? 32) === 32 && (scaling.betaSlow ?? 1) === 1 && scaling.truncate !== false);

/** llama3's scaling as the divisors of the frequencies, which is how the converter writes it. */
function ropeFactors({ rope, headSize, contextLength }: ModelConfig): Float32Array | undefined {
  const { scaling } = rope;
  if (scaling?.type === 'factors') return Float32Array.from(scaling.factors);
  if (scaling?.type !== 'llama3') return undefined;
  const plain = ropeFrequencies(headSize, { ...rope, scaling: undefined }, contextLength).inverse;
  const scaled = ropeFrequencies(headSize, rope, contextLength).inverse;
  return Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
}
