import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { ggufValue, writeGguf, type GgufTensorToWrite } from '../models/gguf/write.ts';
import { openTensors } from '../models/huggingface-weights.ts';
import { readJsonFile } from '../models/json-file.ts';
import { readFloats } from '../models/safetensors.ts';
import { openPictureProcessor } from '../models/vision/preparation/open.ts';
import type { PictureOptions } from '../models/vision/preparation/options.ts';
import { visionConfig, type EncoderConfig, type VisionConfig } from '../models/vision/towers/config.ts';
import { visionName } from '../models/vision/towers/loader.ts';

/** general.file_type: all numbers in f32. */
const ALL_F32 = 0;
const MOST_CONFIG_BYTES = 16 << 20;

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
];

/** https://github.com/ggml-org/llama.cpp/issues/25814 */
const CLASS_TOKEN =
  "llama.cpp, as of October 2026, puts CLIP's class token behind the patches of a picture and not before them: it sees pictures of such a model shifted by a patch (its issue 25814).";

function mmprojName(name: string): string | undefined {
  const [form, theirs] = NAMES.find(([form]) => form.test(name)) ?? [];
  return form && name.replace(form, theirs!);
}

/**
 * Writes what a Hugging Face folder's model sees with as an mmproj file, which llama.cpp takes beside the language model's GGUF.
 * @returns what llama.cpp does otherwise with it, as a sentence
 * @throws UserError for a kind that it is not written for
 */
export async function writeMmproj(file: string, folder: string): Promise<string | undefined> {
  const configFile = path.join(folder, 'config.json');
  const config = visionConfig(await readJsonFile(configFile, MOST_CONFIG_BYTES), configFile);
  const { options } = await openPictureProcessor(folder);
  const entries = new Map([...common(config, options, folder), ...ofKind(config, options, folder)]);
  const { entries: found, close } = await openTensors(folder, visionName);
  try {
    const tensors = [...found].flatMap(([ours, { reader, entry }]): GgufTensorToWrite[] => {
      const name = mmprojName(ours);
      if (!name || isUnused(ours, config)) return [];
      const added = ours === 'connector.mm_soft_emb_norm.weight' ? 1 : 0;
      const bytes = async () => new Uint8Array((await readFloats(reader, entry)).map((value) => value + added).buffer);
      return [{ name, shape: entry.shape, type: 'f32', bytes }];
    });
    await writeGguf(file, entries, tensors);
    return config.tower.kind === 'clip' ? CLASS_TOKEN : undefined;
  } finally {
    await close();
  }
}

/** What lies above the layer that features are taken from: further layers, and of CLIP the norm after them. */
const isUnused = (name: string, { tower }: VisionConfig) =>
  Number(/^tower\.encoder\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= tower.layers ||
  (tower.kind === 'clip' && name.startsWith('tower.post_layernorm.'));

function common({ tower, connector }: VisionConfig, { normalization }: PictureOptions, folder: string) {
  if (tower.kind === 'qwen2.5')
    throw new UserError(`${folder}: pictures of Qwen2.5-VL can't be exported to GGUF yet; export the merged folder`);
  return new Map([
    ['general.architecture', ggufValue.string('clip')],
    ['general.type', ggufValue.string('mmproj')],
    ['general.file_type', ggufValue.u32(ALL_F32)],
    ['clip.has_vision_encoder', ggufValue.bool(true)],
    ['clip.vision.projection_dim', ggufValue.u32(connector.outSize)],
    ...encoder(tower),
    ['clip.vision.image_mean', ggufValue.f32s(normalization.mean)],
    ['clip.vision.image_std', ggufValue.f32s(normalization.deviation)],
    // Without it, llama.cpp takes quick_gelu; it knows one GELU, by tanh.
    ['clip.use_gelu', ggufValue.bool(tower.activation !== 'quick_gelu')],
  ]);
}

const encoder = (tower: EncoderConfig): [string, Uint8Array][] => [
  ['clip.vision.image_size', ggufValue.u32(tower.imageSize)],
  ['clip.vision.patch_size', ggufValue.u32(tower.patchSize)],
  ['clip.vision.embedding_length', ggufValue.u32(tower.hiddenSize)],
  ['clip.vision.feed_forward_length', ggufValue.u32(tower.intermediateSize)],
  ['clip.vision.block_count', ggufValue.u32(tower.layers)],
  ['clip.vision.attention.head_count', ggufValue.u32(tower.heads)],
  ['clip.vision.attention.layer_norm_epsilon', ggufValue.f32(tower.epsilon)],
];

/** What one kind of connector has besides. */
function ofKind({ tower, connector }: VisionConfig, options: PictureOptions, folder: string): [string, Uint8Array][] {
  const named = (type: string): [string, Uint8Array] => ['clip.projector_type', ggufValue.string(type)];
  const scale = (value: number): [string, Uint8Array] => ['clip.vision.projector.scale_factor', ggufValue.u32(value)];
  switch (connector.kind) {
    case 'shuffle': {
      if (options.kind !== 'tiles') throw mixed(folder);
      return [
        named('idefics3'),
        scale(connector.scale),
        ['clip.vision.preproc_image_size', ggufValue.u32(options.longestEdge)],
      ];
    }
    case 'pool': {
      const { imageSize, patchSize } = tower as EncoderConfig;
      return [named('gemma3'), scale(Math.floor(imageSize / patchSize) / connector.tokensPerSide)];
    }
    case 'mlp':
      // It would take the last layer but one.
      return [named('mlp'), ['clip.vision.feature_layer', ggufValue.i32s([tower.layers])]];
    case 'merge':
      throw mixed(folder);
  }
}

const mixed = (folder: string) =>
  new UserError(
    `${folder}: config.json and preprocessor_config.json are of different families; do they belong together?`,
  );
