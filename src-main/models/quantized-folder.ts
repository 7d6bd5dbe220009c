import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../engine/types.ts';

/** Quantizations by what config.json calls them (transformers' quant_method). */
const METHODS: Record<string, string> = {
  bitsandbytes: 'bitsandbytes',
  fp8: 'FP8',
  fbgemm_fp8: 'FP8 (FBGEMM)',
  gptq: 'GPTQ',
  awq: 'AWQ',
  'compressed-tensors': 'compressed-tensors (as vLLM has it)',
  hqq: 'HQQ',
  eetq: 'EETQ',
  quanto: 'Quanto',
  mxfp4: 'MXFP4',
  modelopt: 'ModelOpt',
};
/** Files that older programs describe a quantization in. */
const FILES: Record<string, string> = {
  'quantize_config.json': 'GPTQ',
  'quant_config.json': 'AWQ',
  'hf_quant_config.json': 'ModelOpt',
};

/**
 * Names the quantization of a folder before anything else of it can seem broken.
 * @param json content of its config.json
 * @throws UserError with what to fetch instead
 */
export function refuseQuantized(json: unknown, folder: string): void {
  const name = inConfig(json) ?? Object.entries(FILES).find(([file]) => fs.existsSync(path.join(folder, file)))?.[1];
  if (name) throw quantized(folder, name);
}

/** The refusal of a folder whose weights are quantized. */
export const quantized = (folder: string, name: string): UserError =>
  new UserError(
    `${folder} holds a model quantized with ${name}, which is not read; fetch the original folder (BF16 or F16), or a GGUF file of the model, which may be quantized (Q8_0, Q4_K_M)`,
  );

type Fields = Record<string, unknown>;
const asObject = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && Object.keys(value).length > 0 ? (value as Fields) : undefined;

function inConfig(json: unknown): string | undefined {
  const config = asObject(json);
  for (const part of [config, asObject(config?.['text_config'])]) {
    const described = asObject(part?.['quantization_config']);
    const method = described?.['quant_method'];
    if (typeof method === 'string') {
      const bits =
        described!['load_in_4bit'] === true ? ', 4 bit' : described!['load_in_8bit'] === true ? ', 8 bit' : '';
      return `${METHODS[method] ?? `"${method.slice(0, 40)}"`}${bits}`;
    }
    const mlx = asObject(part?.['quantization']) ?? described;
    if (mlx) return `MLX (${String(mlx['bits'] ?? '?').slice(0, 8)} bit)`;
    if (asObject(part?.['compression_config'])) return METHODS['compressed-tensors'];
  }
  return undefined;
}

/** Parts of names that only quantized linears have, and types that no float weight has. */
const QUANTIZED_NAME =
  /\.(qweight|qzeros|g_idx|weight_packed|weight_scale(_inv)?|scales|absmax|quant_map|SCB|W_q|_data|weight_blocks)(\.|$)/;
const isQuantizedType = (dtype: string) => /^(F8_|U8|I8|U16|U32|I32)/.test(dtype);

/** Whether a tensor of a folder belongs to a quantized linear. */
export const isQuantizedTensor = ({ name, dtype }: { name: string; dtype: string }): boolean =>
  QUANTIZED_NAME.test(name) || (/_proj\.weight$/.test(name) && isQuantizedType(dtype));
