import { featuresOf, type EncoderConfig, type QwenConfig, type VisionConfig } from '../towers/config.ts';
import type { PictureProcessor } from '../preparation/processor.ts';
import type { Filter } from '../pictures/resample.ts';
import { openMmproj, type MmprojFacts } from './header.ts';

/** How an mmproj's pictures are prepared, by what it says and by what its family's processor does in transformers. @throws UserError */
export async function mmprojProcessor(file: string): Promise<PictureProcessor> {
  const { opened, facts, config } = await openMmproj(file);
  await opened.close();
  return processorOf(facts, config);
}

export function processorOf(facts: MmprojFacts, config: VisionConfig): PictureProcessor {
  const { tower, connector } = config;
  const given = <Kind extends Filter>(filter: Kind) => ({
    filter,
    normalization: {
      rescale: 1 / 255,
      mean: channels(facts, 'clip.vision.image_mean'),
      deviation: channels(facts, 'clip.vision.image_std'),
    },
  });
  if (connector.kind === 'merge') {
    const { patchSize: patch, frames, merge } = tower as QwenConfig;
    const leastPixels = facts.count('clip.vision.image_min_pixels', 56 * 56);
    const mostPixels = facts.count('clip.vision.image_max_pixels', 28 * 28 * 1280);
    return {
      options: { ...given('bicubic'), kind: 'grid', leastPixels, mostPixels, patch, frames, merge },
      placeholder: { kind: 'qwen', image: '<|image_pad|>', patch, merge },
    };
  }
  const { imageSize: side, patchSize: patch } = tower as EncoderConfig;
  const patches = Math.floor(side / patch);
  const features = featuresOf({ rows: patches, columns: patches }, config);
  switch (connector.kind) {
    case 'shuffle': {
      const names = { image: '<image>', around: '<fake_token_around_image>', global: '<global-img>' };
      const longestEdge = facts.count('clip.vision.preproc_image_size', 4 * side);
      return {
        options: { ...given('lanczos'), kind: 'tiles', longestEdge, tile: side, split: true },
        placeholder: { kind: 'idefics3', ...names, perTile: features },
      };
    }
    case 'pool': {
      const names = { image: '<image_soft_token>', begin: '<start_of_image>', end: '<end_of_image>' };
      return {
        options: { ...given('bilinear'), kind: 'square', height: side, width: side },
        placeholder: { kind: 'gemma3', ...names, perPicture: features },
      };
    }
    case 'mlp':
      return {
        options: { ...given('bicubic'), kind: 'crop', shortestEdge: side, height: side, width: side },
        placeholder: { kind: 'llava', image: '<image>', patch, further: 1, dropped: 1 },
      };
  }
}

function channels(facts: MmprojFacts, key: string): number[] {
  const values = facts.numbers(key);
  if (values?.length === 3 && values.every(Number.isFinite) && !(key.endsWith('std') && values.includes(0)))
    return values;
  throw facts.unusable(key, values?.join(', '));
}
