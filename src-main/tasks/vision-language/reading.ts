import path from 'node:path';
import type { DatasetOptions } from '../../data/dataset.ts';
import { UserError } from '../../engine/types.ts';
import type { ModelFile } from '../../models/types.ts';
import { openPictureProcessor } from '../../models/vision/preparation/open.ts';
import { featuresOf } from '../../models/vision/towers/config.ts';
import type { PictureReading } from './prepare.ts';

/** How a model reads conversations with pictures, in its own words. @throws UserError where its files don't belong together */
export async function pictureReading(file: ModelFile, options: DatasetOptions): Promise<PictureReading> {
  const { sees, tokenizer } = file;
  if (!sees) throw new UserError(`${file.path} is a model of text alone; give one that takes pictures`);
  if (!tokenizer) throw new UserError(`${file.name} has no tokenizer, so it can't read text; add its tokenizer.json`);
  const processor = await openPictureProcessor(sees.place);
  const { placeholder } = processor;
  const ids = tokenizer.encode(placeholder.image, { addSpecialTokens: false });
  if (ids.join() !== String(sees.imageToken))
    throw new UserError(
      `${path.join(sees.place, 'config.json')}: image_token_id is ${sees.imageToken}, and the tokenizer reads ${placeholder.image} as ${ids.join(', ')}; fetch the whole folder`,
    );
  const { imageSize, patchSize: patch } = { imageSize: undefined, ...sees.config.tower };
  const told = placeholder.kind === 'idefics3' ? placeholder.perTile : placeholder.kind === 'gemma3' ? placeholder.perPicture : undefined; // prettier-ignore
  if (told !== undefined && imageSize !== undefined) {
    const side = Math.floor(imageSize / patch);
    const features = featuresOf({ rows: side, columns: side }, sees.config);
    if (told !== features)
      throw new UserError(
        `${path.join(sees.place, 'processor_config.json')} writes ${told} tokens for a picture (image_seq_len), of which the model sees ${features}; fetch the whole folder`,
      );
  }
  const { template, loss, sequenceLength } = options;
  return { tokenizer, template, loss, sequenceLength, processor, patch };
}
