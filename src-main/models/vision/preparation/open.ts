import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { readJsonFile } from '../../json-file.ts';
import { mmprojProcessor } from '../mmproj/preparation.ts';
import { isMmproj } from '../towers/source.ts';
import type { PictureOptions } from './options.ts';
import type { Placeholder } from './placeholders.ts';
import { pictureOptions, processorJson } from './processor-file.ts';
import type { PictureProcessor } from './processor.ts';

export type { PictureProcessor };

const count = z
  .number()
  .int()
  .positive()
  .max(1 << 16);
const token = z.string().min(1).max(100);
const processorSchema = z.looseObject({
  image_seq_len: count.nullish(),
  image_seq_length: count.nullish(),
  patch_size: count.nullish(),
  num_additional_image_tokens: z.number().int().nonnegative().max(16).nullish(),
  vision_feature_select_strategy: z.enum(['default', 'full']).nullish(),
  image_token: token.nullish(),
});
const tokensSchema = z.looseObject({
  image_token: token.nullish(),
  boi_token: token.nullish(),
  eoi_token: token.nullish(),
});
type Processor = z.infer<typeof processorSchema>;
type Tokens = z.infer<typeof tokensSchema>;

/** Reads the processor of a Hugging Face folder, or of an mmproj file. @throws UserError naming file and field for what isn't known or is missing */
export async function openPictureProcessor(folder: string): Promise<PictureProcessor> {
  if (isMmproj(folder)) return mmprojProcessor(folder);
  const { json, file, processor } = await processorJson(folder);
  const { family, options } = pictureOptions(json, file);
  const parsed = parse(processorSchema, processor ?? {}, path.join(folder, 'processor_config.json'));
  const tokenizerFile = path.join(folder, 'tokenizer_config.json');
  const tokens = fs.existsSync(tokenizerFile) ? await readJsonFile(tokenizerFile, 16 << 20) : {};
  return { options, placeholder: placeholderOf(family, options, parsed, parse(tokensSchema, tokens, tokenizerFile), folder) }; // prettier-ignore
}

function parse<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new UserError(`${file}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
}

/** Names and counts where the files are silent are those of transformers' processors. */
function placeholderOf(
  family: ReturnType<typeof pictureOptions>['family'],
  options: PictureOptions,
  processor: Processor,
  tokens: Tokens,
  folder: string,
): Placeholder {
  if (family === 'idefics3') {
    const names = { image: '<image>', around: '<fake_token_around_image>', global: '<global-img>' };
    return { kind: family, ...names, perTile: processor.image_seq_len ?? 169 };
  }
  if (family === 'gemma3') {
    const { image_token: image, boi_token: begin, eoi_token: end } = tokens;
    const names = { image: image ?? '<image_soft_token>', begin: begin ?? '<start_of_image>', end: end ?? '<end_of_image>' }; // prettier-ignore
    return { kind: family, ...names, perPicture: processor.image_seq_length ?? 256 };
  }
  if (options.kind === 'grid')
    return { kind: 'qwen', image: tokens.image_token ?? '<|image_pad|>', patch: options.patch, merge: options.merge };
  const { patch_size: patch, vision_feature_select_strategy: strategy } = processor;
  if (!patch || !strategy)
    throw new UserError(
      `${path.join(folder, 'processor_config.json')} doesn't say "patch_size" and "vision_feature_select_strategy", by which a picture's tokens are counted; fetch the whole folder`,
    );
  const image = tokens.image_token ?? processor.image_token ?? '<image>';
  const dropped = strategy === 'default' ? 1 : 0;
  return { kind: 'llava', image, patch, further: processor.num_additional_image_tokens ?? 0, dropped };
}
