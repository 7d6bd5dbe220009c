import { dequantize } from '../models/gguf/dequantize.ts';
import { huggingFaceName, permutedHeads } from '../models/gguf/names.ts';
import { fitsBlocks, quantize, type WritableType } from '../models/gguf/quantize.ts';
import type { GgufTensor } from '../models/gguf/types.ts';
import { ggufValue, writeGguf, type GgufTensorToWrite } from '../models/gguf/write.ts';
import { UserError } from '../engine/types.ts';
import { openGguf } from '../models/gguf/open.ts';
import { openGgufFile, type GgufFile } from '../models/gguf/parts.ts';
import type { ModelConfig, ModelFile } from '../models/types.ts';
import { reordered } from './gguf-lora.ts';
import { ggufOfFolder } from './gguf-of-folder.ts';
import type { MergedTensors } from './merge.ts';

export type GgufFileType = 'f16' | 'q8_0' | 'q4_0';

/** general.file_type (llama.h, llama_ftype: MOSTLY_F16, MOSTLY_Q8_0, MOSTLY_Q4_0). */
const FILE_TYPES: Record<GgufFileType, number> = { f16: 1, q8_0: 7, q4_0: 2 };
/** Metadata of a file that the merged one is not any more. */
const NOT_KEPT = /^(split\.|quantize\.|general\.(alignment|file_type|name|quantization_version)$)/;

/**
 * Writes a merged model as GGUF. From a GGUF base every other metadata entry, tokenizer and template among them, and every
 * tensor that already has the type go over byte for byte; a Hugging Face folder is converted.
 */
export async function writeMergedGguf(
  file: string,
  base: ModelFile,
  merged: MergedTensors,
  name: string,
  type: GgufFileType,
  onTensor: (done: number, total: number) => void,
): Promise<void> {
  const own = new Map([
    ['general.name', ggufValue.string(name)],
    ['general.file_type', ggufValue.u32(FILE_TYPES[type])],
    ['general.quantization_version', ggufValue.u32(2)],
  ]);
  if (base.format === 'huggingface') {
    const { entries, tensors } = await ggufOfFolder(base, merged, (tensor) => typeOf(tensor, type));
    await writeGguf(file, new Map([...entries, ...own]), tensors, (done) => onTensor(done, tensors.length));
    return checkSayable(file, base);
  }
  const source = await openGgufFile(base.path);
  try {
    const { header } = source;
    const kept = [...header.entries].filter(([key]) => !NOT_KEPT.test(key));
    const tensors = [...header.tensors.values()].map((tensor) =>
      mergedTensor(source, tensor, base.config, merged, type),
    );
    await writeGguf(file, new Map([...kept, ...own]), tensors, (done) => onTensor(done, tensors.length));
  } finally {
    await source.close();
  }
}

/** GGUF has no words for some of what config.json can say (gemma3's pattern of windows): read back, it must be the same model. */
async function checkSayable(file: string, { config, path }: ModelFile): Promise<void> {
  const written = await openGguf(file);
  await written.close();
  const differs = SAYABLE.find((field) => !same(config[field], written.config[field]));
  if (differs || !same(config.rope.localTheta, written.config.rope.localTheta))
    throw new UserError(
      `${path} has ${differs ?? 'a RoPE base of its sliding windows'} that GGUF can't say; export merged-safetensors instead`,
    );
}

const SAYABLE = ['slidingWindow', 'attentionScale', 'activation', 'attentionBias', 'queryKeyNorm'] as const;

const same = (a: unknown, b: unknown) =>
  typeof a === 'number' && typeof b === 'number'
    ? Math.abs(a - b) <= 1e-6 * Math.abs(a)
    : JSON.stringify(a) === JSON.stringify(b);

function mergedTensor(
  source: GgufFile,
  tensor: GgufTensor,
  config: ModelConfig,
  merged: MergedTensors,
  fileType: GgufFileType,
): GgufTensorToWrite {
  const { name, shape } = tensor;
  const type = typeOf(tensor, fileType);
  const hugging = huggingFaceName(name, config.architecture === 'gemma3');
  const bytes = async () => {
    if (hugging && merged.changes(hugging)) {
      const values = await merged.read(hugging);
      const heads = permutedHeads(hugging, config);
      return quantize(heads ? reordered(values, shape[0]!, heads) : values, type);
    }
    const raw = await source.read(tensor);
    return tensor.type === type ? raw : quantize(dequantize(raw, tensor.type), type);
  };
  return { name, shape, type, bytes };
}

/**
 * The type of one tensor in a file of that type, as llama.cpp's quantize has it: norms and biases in f32, what does not fit
 * in blocks in f16, embedding and head finer than q4_0.
 */
export function typeOf({ name, shape }: Pick<GgufTensor, 'name' | 'shape'>, fileType: GgufFileType): WritableType {
  if (shape.length === 1) return 'f32';
  const wanted = fileType === 'q4_0' && /^(token_embd|output)\.weight$/.test(name) ? 'q8_0' : fileType;
  return fitsBlocks(shape.at(-1)!, wanted) ? wanted : 'f16';
}
