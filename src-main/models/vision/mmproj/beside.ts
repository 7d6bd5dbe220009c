import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../../engine/types.ts';
import { fileSha256, foldHashes } from '../../identity.ts';
import type { ModelFile, SeeingFile } from '../../types.ts';
import { openMmproj } from './header.ts';
import { processorOf } from './preparation.ts';

/** What a file's name says of its numbers. */
const QUANTIZED = /[-._](f16|f32|bf16|i?q\d\w*)$/i;
const bare = (name: string) =>
  name
    .replace(/\.gguf$/i, '')
    .replace(QUANTIZED, '')
    .toLowerCase();

/** The mmproj file that lies beside a GGUF: the one of its name, else, beside a lone model, the only one. */
export function mmprojBeside(gguf: string): { file: string; isNamed: boolean } | undefined {
  const [folder, own] = [path.dirname(gguf), path.basename(gguf).replace(/-\d{5}-of-\d{5}\.gguf$/i, '.gguf')];
  if (/^mmproj/i.test(own)) return undefined;
  const files = fs.readdirSync(folder).filter((name) => /\.gguf$/i.test(name) && !/-0000[2-9]-of-/.test(name));
  const all = files.filter((name) => /^mmproj/i.test(name));
  const exact = all.filter((name) => name.toLowerCase() === `mmproj-${own.toLowerCase()}`);
  const alike = all.filter((name) => bare(name) === `mmproj-${bare(own)}`);
  const [named] = exact.length === 1 ? exact : alike.length === 1 ? alike : [];
  const chosen = named ?? (all.length === 1 && files.length === 2 ? all[0] : undefined);
  return chosen === undefined ? undefined : { file: path.join(folder, chosen), isNamed: named !== undefined };
}

/**
 * A language model of a GGUF with what its mmproj lets it see. Where the mmproj is only the folder's only one and belongs to another
 * model, the language model alone, with a warning.
 * @throws UserError where the mmproj is the model's by its name and can't be opened with it
 */
export async function withMmproj(
  text: ModelFile,
  { file, isNamed }: { file: string; isNamed: boolean },
): Promise<ModelFile> {
  try {
    const { sees, byteLength } = await seeing(text, file);
    return {
      ...text,
      sees: { ...sees, textSha256: () => text.sha256() },
      byteLength: text.byteLength + byteLength,
      sha256: async () => foldHashes([await text.sha256(), await fileSha256(file)]),
    };
  } catch (error) {
    if (isNamed || !(error instanceof UserError)) throw error;
    const warning = `${path.basename(file)} lies beside ${path.basename(text.path)} and is not taken, so that the model reads text alone: ${error.message}`;
    return { ...text, warnings: [...(text.warnings ?? []), warning] };
  }
}

async function seeing(text: ModelFile, file: string): Promise<{ sees: SeeingFile; byteLength: number }> {
  const { opened, facts, config } = await openMmproj(file);
  try {
    const { outSize, kind } = config.connector;
    if (outSize !== text.config.hiddenSize)
      throw new UserError(
        `${file}: pictures become ${outSize} numbers a token, and ${text.name} takes ${text.config.hiddenSize}; it is another model's`,
      );
    const turns = kind === 'merge' ? text.config.rope.sections !== undefined : text.config.rope.sections === undefined;
    const looks = (kind === 'pool') === (text.config.architecture === 'gemma3');
    if (!turns || !looks) throw new UserError(`${file} is of another family than ${text.name}; it is another model's`);
    const { image } = processorOf(facts, config).placeholder;
    const ids = text.tokenizer?.encode(image, { addSpecialTokens: false }) ?? [];
    if (ids.length !== 1)
      throw new UserError(`${text.path}: its tokenizer has no token ${image}, which stands for a part of a picture; open the model's Hugging Face folder`); // prettier-ignore
    const tensors = [...opened.header.tensors.values()].map(({ name, shape, type, byteLength }) => ({
      ...{ name, shape, type, byteLength },
    }));
    return { sees: { place: file, config, imageToken: ids[0]!, tensors }, byteLength: opened.byteLength };
  } finally {
    await opened.close();
  }
}
