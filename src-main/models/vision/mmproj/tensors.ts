import { joined } from '../../floats.ts';
import type { VisionConfig } from '../towers/config.ts';

/** A tensor of an mmproj file, and how it is made of a folder's. */
export interface MmprojTensor {
  name: string;
  shape: number[];
  of(values: Float32Array): Float32Array;
}

/** llama.cpp's names for what a model sees with (tools/mtmd/clip-impl.h), by the names of one form that towers have here. */
const NAMES: [RegExp, string][] = [
  [/^tower\.embeddings\.patch_embedding\./, 'v.patch_embd.'],
  [/^tower\.embeddings\.position_embedding\./, 'v.position_embd.'],
  [/^tower\.embeddings\.class_embedding$/, 'v.class_embd'],
  [/^tower\.pre_layrnorm\./, 'v.pre_ln.'],
  [/^tower\.post_layernorm\./, 'v.post_ln.'],
  [/^tower\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\./, 'v.blk.$1.attn_$2.'],
  [/^tower\.encoder\.layers\.(\d+)\.self_attn\.out_proj\./, 'v.blk.$1.attn_out.'],
  [/^tower\.encoder\.layers\.(\d+)\.layer_norm([12])\./, 'v.blk.$1.ln$2.'],
  [/^tower\.encoder\.layers\.(\d+)\.mlp\.fc1\./, 'v.blk.$1.ffn_up.'],
  [/^tower\.encoder\.layers\.(\d+)\.mlp\.fc2\./, 'v.blk.$1.ffn_down.'],
  [/^connector\.modality_projection\.proj\./, 'mm.model.fc.'],
  [/^connector\.mm_input_projection_weight$/, 'mm.input_projection.weight'],
  [/^connector\.mm_soft_emb_norm\./, 'mm.soft_emb_norm.'],
  [/^connector\.linear_1\./, 'mm.0.'],
  [/^connector\.linear_2\./, 'mm.2.'],
  [/^tower\.blocks\.(\d+)\.attn\.proj\./, 'v.blk.$1.attn_out.'],
  [/^tower\.blocks\.(\d+)\.norm([12])\./, 'v.blk.$1.ln$2.'],
  [/^tower\.blocks\.(\d+)\.mlp\.(gate|up|down)_proj\./, 'v.blk.$1.ffn_$2.'],
  [/^tower\.merger\.ln_q\./, 'v.post_ln.'],
  [/^tower\.merger\.mlp\.([02])\./, 'mm.$1.'],
];

const BLOCK_LINEAR = /^tower\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)$/;

/**
 * What llama.cpp has for a tensor of tower or connector; nothing for what features are not made of.
 * @param name of the one form that towers have here
 */
export function mmprojTensors(name: string, shape: number[], config: VisionConfig): MmprojTensor[] {
  if (isUnused(name, config)) return [];
  const [, block, kind] = BLOCK_LINEAR.exec(name) ?? [];
  if (block) return ['q', 'k', 'v'].map((part, i) => thirdOf(i, `v.blk.${block}.attn_${part}.${kind}`, shape));
  if (name === 'tower.patch_embed.proj.weight') return [0, 1].map((frame) => frameOf(frame, shape));
  const [form, theirs] = NAMES.find(([pattern]) => pattern.test(name)) ?? [];
  if (!form) return [];
  const added = name === 'connector.mm_soft_emb_norm.weight' ? 1 : 0;
  return [{ name: name.replace(form, theirs!), shape, of: (values) => values.map((value) => value + added) }];
}

/** What lies above the layer that features are taken from: further layers, and of CLIP the norm after them. */
const isUnused = (name: string, { tower }: VisionConfig) =>
  Number(/^tower\.encoder\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= tower.layers ||
  (tower.kind === 'clip' && name.startsWith('tower.post_layernorm.'));

/** A third of a linear that makes q, k and v at once. */
function thirdOf(third: number, name: string, [rows, ...columns]: number[]): MmprojTensor {
  return {
    name,
    shape: [rows! / 3, ...columns],
    of: (values) => values.slice((third * values.length) / 3, ((third + 1) * values.length) / 3),
  };
}

/** What a patch convolution does to one of the two frames that a picture stands for, [out, 3, patch, patch]. */
function frameOf(frame: number, [out, channels, frames, ...patch]: number[]): MmprojTensor {
  const size = patch.reduce((product, side) => product * side, 1);
  return {
    name: frame === 0 ? 'v.patch_embd.weight' : `v.patch_embd.weight.${frame}`,
    shape: [out!, channels!, ...patch],
    of: (values) =>
      Float32Array.from({ length: values.length / frames! }, (_, i) => {
        const [filter, inside] = [Math.floor(i / size), i % size];
        return values[(filter * frames! + frame) * size + inside]!;
      }),
  };
}

/**
 * The other way: a folder's tensor of the parts that an mmproj file has of it.
 * @param shape as a folder has it
 * @param parts in the order of `mmprojTensors`
 */
export function fromMmproj(name: string, shape: number[], parts: Float32Array[]): Float32Array {
  if (name === 'tower.patch_embed.proj.weight') return framesTogether(parts, shape);
  if (name === 'connector.mm_soft_emb_norm.weight') return parts[0]!.map((value) => value - 1);
  return joined(parts);
}

function framesTogether(parts: Float32Array[], [, , frames, ...patch]: number[]): Float32Array {
  const size = patch.reduce((product, side) => product * side, 1);
  return Float32Array.from({ length: frames! * parts[0]!.length }, (_, i) => {
    const [filter, frame, inside] = [Math.floor(i / size / frames!), Math.floor(i / size) % frames!, i % size];
    return parts[frame]![filter * size + inside]!;
  });
}
