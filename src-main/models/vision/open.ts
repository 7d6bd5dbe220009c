import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { chatTemplate } from '../chat-template.ts';
import { textPart } from '../config-huggingface.ts';
import { endingTurns } from '../end-of-turn.ts';
import { openHuggingFaceFolder, readTexts, templateSources } from '../huggingface-folder.ts';
import { fileSha256, foldHashes } from '../identity.ts';
import { readJsonFile } from '../json-file.ts';
import type { ModelFile, SeeingFile } from '../types.ts';
import { MOST_CONFIG_BYTES } from './takes-pictures.ts';
import { renamedTokens, tokenNames } from './renamed-tokens.ts';
import { visionConfig } from './towers/config.ts';
import { openSeeingSource } from './towers/source.ts';

const configSchema = z.looseObject({
  image_token_id: z.number().int().nonnegative().nullish(),
  image_token_index: z.number().int().nonnegative().nullish(),
  effilora_text_model: z.string().min(1).max(1000).nullish(),
});

/**
 * Opens a folder of a model with pictures. Its language model lies in the same folder, or is another model's file:
 * `"effilora_text_model"` in config.json names it. Then the folder holds tower and connector alone, and its tokenizer_config.json may
 * name tokens of that model anew (`added_tokens_decoder`) and give a template that has a place for pictures.
 * @param openText opens the model of that name, or at the path in the folder
 * @throws UserError naming file and field, or the tensor
 */
export async function openSeeingFolder(
  folder: string,
  openText: (named: string) => Promise<ModelFile>,
): Promise<ModelFile> {
  const file = path.join(folder, 'config.json');
  const json = await readJsonFile(file, MOST_CONFIG_BYTES);
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${file}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
  }
  const { image_token_id, image_token_index, effilora_text_model: other } = parsed.data;
  const imageToken = image_token_id ?? image_token_index;
  if (imageToken == null)
    throw new UserError(`${file} doesn't say "image_token_id", by which a picture's tokens are known`);
  const config = visionConfig(json, file);
  const seen = await openSeeingSource(folder);
  const sees: SeeingFile = { place: folder, config, imageToken, tensors: seen.infos };
  await seen.close();
  const text = other == null ? await openHuggingFaceFolder(folder, textPart) : await openText(other);
  try {
    checkFit(text, sees, file);
    if (other == null) return { ...text, sees };
    return {
      ...text,
      ...(await textsOf(folder, text)),
      ...{ path: folder, name: path.basename(path.resolve(folder)), sees },
      byteLength: text.byteLength + seen.byteLength,
      sha256: async () => foldHashes([await text.sha256(), ...(await Promise.all(seen.paths.map(fileSha256)))]),
    };
  } catch (error) {
    await text.close();
    throw error;
  }
}

/** @throws UserError where the language model is another one than the tower was made for */
function checkFit({ config: text }: ModelFile, { config, imageToken }: SeeingFile, file: string): void {
  const { outSize } = config.connector;
  if (text.hiddenSize !== outSize)
    throw new UserError(
      `${file}: pictures become ${outSize} numbers a token, and the language model takes ${text.hiddenSize}; it is another one than this folder was made for`,
    );
  if (imageToken >= text.vocabularySize)
    throw new UserError(
      `${file}: image_token_id ${imageToken} is outside the language model's vocabulary of ${text.vocabularySize}`,
    );
}

/** The folder's own tokenizer where it has one, else the language model's with the names and the template that the folder gives. */
async function textsOf(folder: string, text: ModelFile): Promise<Pick<ModelFile, 'tokenizer' | 'chatTemplate'>> {
  const own = await readTexts(folder, text.config.bosTokenId, text.config.eosTokenIds);
  if (own) return own;
  const { names, template } = await tokenNames(folder);
  const tokenizer = text.tokenizer && renamedTokens(text.tokenizer, names, folder);
  const { source, toolUse } = await templateSources(folder, template);
  const chat =
    source === undefined ? text.chatTemplate : chatTemplate(source, text.chatTemplate?.tokens ?? {}, folder, toolUse);
  return { tokenizer: tokenizer && endingTurns(tokenizer, chat), chatTemplate: chat };
}
