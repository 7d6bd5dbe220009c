import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import type { RopeConfig } from '../types.ts';
import { numbersOf, type GgufValue } from './types.ts';

/** Divisors of the frequencies that a file holds as tensors: rope_freqs, rope_factors_short, rope_factors_long. */
export interface RopeTensors {
  divisors?: number[];
  short?: number[];
  long?: number[];
}

const positive = z.number().positive().finite();
/** RoPE's metadata under `<architecture>.` (llama.cpp, llama-arch.cpp). */
export const ropeFields = {
  'rope.freq_base': positive.optional(),
  'rope.freq_base_swa': positive.optional(),
  'rope.dimension_count': z.number().int().positive().optional(),
  'rope.dimension_sections': z.custom((value) => ArrayBuffer.isView(value)).optional(),
  'rope.scaling.type': z.string().optional(),
  /** 0 stands for none */
  'rope.scaling.factor': z.number().nonnegative().finite().optional(),
  'rope.scale_linear': z.number().nonnegative().finite().optional(),
  'rope.scaling.original_context_length': z.number().int().positive().max(1e9).optional(),
  'rope.scaling.attn_factor': positive.optional(),
};
type Fields = z.infer<z.ZodObject<typeof ropeFields>> & { context_length: number };

/**
 * RoPE as llama.cpp computes it (llama-model.cpp, llama-context.cpp, ggml's rope_yarn): the scaling is linear unless the file says
 * otherwise, its factor may stand under the old name scale_linear, and tensors of divisors go on top. The keys yarn_beta_fast,
 * yarn_beta_slow, yarn_ext_factor, yarn_attn_factor and yarn_log_multiplier it does not read for the architectures at hand.
 * @throws UserError for a scaling that is not known, or tensors of another size
 */
export function ggufRope(f: Fields, tensors: RopeTensors, headSize: number, path: string): RopeConfig {
  const theta = f['rope.freq_base'] ?? 10000;
  const type = f['rope.scaling.type'] ?? 'linear';
  const factor = f['rope.scaling.factor'] ?? f['rope.scale_linear'] ?? 1;
  const scale = type === 'none' || factor === 0 ? 1 : factor;
  const attention = f['rope.scaling.attn_factor'] ?? 1;
  const original = f['rope.scaling.original_context_length'] ?? f.context_length;
  const half = headSize / 2;
  for (const [name, values] of Object.entries(tensors) as [string, number[] | undefined][])
    if (values && (values.length !== half || !values.every((value) => value > 0 && Number.isFinite(value))))
      throw new UserError(
        `${path}: its RoPE tensor (${name}) has ${values.length} numbers where ${half} above 0 are needed`,
      );
  if (type === 'yarn') {
    if (tensors.divisors)
      throw new UserError(`${path} has both YaRN and rope_freqs.weight, which is not supported together`);
    const attentionFactor = attention * (scale > 1 ? 0.1 * Math.log(scale) + 1 : 1);
    const scaling = { type, factor: scale, originalContextLength: original } as const;
    return { theta, scaling: attention === 1 ? scaling : { ...scaling, attentionFactor } };
  }
  if (type === 'longrope' && tensors.short && tensors.long) {
    const [short, long] = [tensors.short, tensors.long].map((factors) => factors.map((value) => value * scale));
    return { theta, scaling: { type, short: short!, long: long!, originalContextLength: original, attentionFactor: attention } }; // prettier-ignore
  }
  if (type !== 'linear' && type !== 'none' && type !== 'longrope')
    throw new UserError(
      `${path}: the RoPE scaling "${type.slice(0, 40)}" is not supported; supported are linear, yarn and longrope`,
    );
  if (!tensors.divisors && attention === 1)
    return scale === 1 ? { theta } : { theta, scaling: { type: 'linear', factor: scale } };
  const factors = (tensors.divisors ?? new Array<number>(half).fill(1)).map((value) => value * scale);
  return { theta, scaling: { type: 'factors', factors, ...(attention !== 1 && { attentionFactor: attention }) } };
}

/** M-RoPE's sections (qwen2vl): three, and one for no axis. @throws UserError where they are not of all frequencies */
export function ropeSections(f: Fields, headSize: number, path: string): RopeConfig['sections'] {
  const given = f['rope.dimension_sections'];
  if (given === undefined) return undefined;
  const [time, row, column, ...rest] = numbersOf(given as GgufValue) ?? [];
  const all = [time ?? 0, row ?? 0, column ?? 0] as const;
  if (rest.some(Boolean) || all.reduce((sum, size) => sum + size, 0) !== headSize / 2)
    throw new UserError(
      `${path}: its rope.dimension_sections (${[...all, ...rest].join(', ')}) are not of the ${headSize / 2} frequencies of a head`,
    );
  return [...all];
}
