import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { readSiteTensor } from '../effilora/names.ts';
import { ggufName, permutedHeads, permuteRows } from '../models/gguf/names.ts';
import { quantize } from '../models/gguf/quantize.ts';
import { ggufValue, writeGguf, type GgufTensorToWrite } from '../models/gguf/write.ts';
import type { ModelConfig } from '../models/types.ts';
import { linearPath } from '../models/weights.ts';

/** general.file_type: ALL_F32 and MOSTLY_F16 (llama.h, llama_ftype). */
const FILE_TYPES = { f32: 0, f16: 1 };

/**
 * Writes a plain LoRA as llama.cpp's LoRA file (convert_lora_to_gguf.py): `<tensor>.lora_a` [r, in] and `.lora_b` [out, r],
 * whose rows follow the converter's order of q and k; llama.cpp's scale is alpha / r. It has no place for DoRA's magnitudes.
 */
export async function writeGgufLora(
  file: string,
  { options, tensors }: PlainLora,
  config: ModelConfig,
  name: string,
  type: 'f32' | 'f16',
): Promise<void> {
  const entries = new Map([
    ['general.architecture', ggufValue.string(config.architecture)],
    ['general.type', ggufValue.string('adapter')],
    ['general.name', ggufValue.string(name)],
    ['general.file_type', ggufValue.u32(FILE_TYPES[type])],
    ['adapter.type', ggufValue.string('lora')],
    ['adapter.lora.alpha', ggufValue.f32(options.alpha)],
  ]);
  const gemma = config.architecture === 'gemma3';
  const written = tensors.map(({ name: own, shape, data }): GgufTensorToWrite => {
    const { block, site, part: kind } = readSiteTensor(own)!;
    const weight = `${linearPath(block, site)}.weight`;
    const heads = permutedHeads(weight, config);
    const values = kind === 'B' && heads ? reordered(data, shape[1]!, heads) : data;
    return {
      name: `${ggufName(weight, gemma)!}.lora_${kind.toLowerCase()}`,
      shape: kind === 'B' ? shape.slice(1) : shape,
      type,
      bytes: async () => quantize(values, type),
    };
  });
  await writeGguf(file, entries, written);
}

/** Rows in the order of llama.cpp's converter. */
export function reordered(values: Float32Array, rows: number, heads: number): Float32Array {
  const width = values.length / rows;
  const out = new Float32Array(values.length);
  permuteRows(rows, heads).forEach((from, to) =>
    out.set(values.subarray(from * width, (from + 1) * width), to * width),
  );
  return out;
}
