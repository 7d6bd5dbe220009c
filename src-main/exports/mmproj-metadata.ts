import { UserError } from '../engine/types.ts';
import { ggufValue } from '../models/gguf/write.ts';
import type { PictureOptions } from '../models/vision/preparation/options.ts';
import type { EncoderConfig, QwenConfig, VisionConfig } from '../models/vision/towers/config.ts';

/** general.file_type: all numbers in f32. */
const ALL_F32 = 0;
/** What transformers' Qwen2.5-VL has in its code (modeling_qwen2_5_vl.py), and llama.cpp's converter as a size to begin with. */
const QWEN = { epsilon: 1e-6, imageSize: 560, windowSize: 112 };

type Entry = [name: string, value: Uint8Array];

/**
 * An mmproj file's metadata (llama.cpp, tools/mtmd/clip-impl.h).
 * @param folder named in errors
 * @throws UserError for what llama.cpp has no words for
 */
export function mmprojMetadata(config: VisionConfig, options: PictureOptions, folder: string): Map<string, Uint8Array> {
  const { tower, connector } = config;
  return new Map([
    ['general.architecture', ggufValue.string('clip')],
    ['general.type', ggufValue.string('mmproj')],
    ['general.file_type', ggufValue.u32(ALL_F32)],
    ['clip.has_vision_encoder', ggufValue.bool(true)],
    ['clip.vision.projection_dim', ggufValue.u32(connector.outSize)],
    ['clip.vision.patch_size', ggufValue.u32(tower.patchSize)],
    ['clip.vision.embedding_length', ggufValue.u32(tower.hiddenSize)],
    ['clip.vision.feed_forward_length', ggufValue.u32(tower.intermediateSize)],
    ['clip.vision.block_count', ggufValue.u32(tower.layers)],
    ['clip.vision.attention.head_count', ggufValue.u32(tower.heads)],
    ['clip.vision.image_mean', ggufValue.f32s(options.normalization.mean)],
    ['clip.vision.image_std', ggufValue.f32s(options.normalization.deviation)],
    ...(tower.kind === 'qwen2.5' ? ofQwen(tower, options, folder) : ofEncoder(tower)),
    ...ofConnector(config, options, folder),
  ]);
}

const ofEncoder = (tower: EncoderConfig): Entry[] => [
  ['clip.vision.image_size', ggufValue.u32(tower.imageSize)],
  ['clip.vision.attention.layer_norm_epsilon', ggufValue.f32(tower.epsilon)],
  // Without it, llama.cpp takes quick_gelu; it knows one GELU, by tanh.
  ['clip.use_gelu', ggufValue.bool(tower.activation !== 'quick_gelu')],
];

function ofQwen(
  { full, layers, windowSize, merge, frames }: QwenConfig,
  options: PictureOptions,
  folder: string,
): Entry[] {
  if (options.kind !== 'grid') throw mixed(folder);
  const every = (full[0] ?? -1) + 1;
  const regular = Array.from({ length: Math.floor(layers / every) }, (_, i) => (i + 1) * every - 1);
  if (every === 0 || regular.join() !== full.join())
    throw new UserError(
      `${folder}: "fullatt_block_indexes" is ${full.join(', ') || 'empty'}; llama.cpp knows every so many blocks only. Export the merged folder`,
    );
  if (windowSize !== QWEN.windowSize || merge !== 2 || frames !== 2)
    throw new UserError(
      `${folder}: windows of ${windowSize} pixels, ${merge} merged patches a side and ${frames} frames are not what llama.cpp has (112, 2 and 2). Export the merged folder`,
    );
  return [
    ['clip.vision.image_size', ggufValue.u32(QWEN.imageSize)],
    ['clip.vision.attention.layer_norm_epsilon', ggufValue.f32(QWEN.epsilon)],
    ['clip.use_silu', ggufValue.bool(true)],
    ['clip.vision.n_wa_pattern', ggufValue.u32(every)],
    ['clip.vision.image_min_pixels', ggufValue.u32(options.leastPixels)],
    ['clip.vision.image_max_pixels', ggufValue.u32(options.mostPixels)],
  ];
}

/** What one kind of connector has besides. */
function ofConnector({ tower, connector }: VisionConfig, options: PictureOptions, folder: string): Entry[] {
  const named = (type: string): Entry => ['clip.projector_type', ggufValue.string(type)];
  const scale = (value: number): Entry => ['clip.vision.projector.scale_factor', ggufValue.u32(value)];
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
      if (!connector.dropClass)
        throw new UserError(
          `${folder}: "vision_feature_select_strategy" is full, and llama.cpp leaves the class token out. Export the merged folder`,
        );
      // It would take the last layer but one.
      return [named('mlp'), ['clip.vision.feature_layer', ggufValue.i32s([tower.layers])]];
    case 'merge':
      return [named('qwen2.5vl_merger')];
  }
}

const mixed = (folder: string) =>
  new UserError(
    `${folder}: config.json and preprocessor_config.json are of different families; do they belong together?`,
  );
