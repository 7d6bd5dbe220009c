import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { readJsonFile } from '../json-file.ts';
import { createTokenizer } from '../tokenizer/tokenizer.ts';
import type { Tokenizer } from '../types.ts';

const MOST_BYTES = 16 << 20;
const schema = z.looseObject({
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), z.looseObject({ content: z.string().min(1) })).default({}),
  chat_template: z.string().optional(),
});

/** What a folder without a tokenizer of its own says of another model's. */
export interface TokenNames {
  /** texts by id */
  names: Map<number, string>;
  template?: string;
}

/** Reads tokenizer_config.json where there is one. @throws UserError naming file and field */
export async function tokenNames(folder: string): Promise<TokenNames> {
  const file = path.join(folder, 'tokenizer_config.json');
  const parsed = schema.safeParse(fs.existsSync(file) ? await readJsonFile(file, MOST_BYTES) : {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${file}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
  }
  const { added_tokens_decoder: tokens, chat_template: template } = parsed.data;
  return { names: new Map(Object.entries(tokens).map(([id, { content }]) => [Number(id), content])), template };
}

/**
 * A tokenizer in which some ids, which its model reserved, stand for new texts.
 * @throws UserError for an id that it doesn't have, or a text that two would stand for
 */
export function renamedTokens(tokenizer: Tokenizer, names: Map<number, string>, folder: string): Tokenizer {
  if (names.size === 0) return tokenizer;
  const outside = [...names.keys()].find((id) => id >= tokenizer.vocabularySize);
  if (outside !== undefined)
    throw new UserError(
      `${folder}: its tokenizer_config.json names token ${outside}, and the language model has ${tokenizer.vocabularySize}`,
    );
  const { json } = tokenizer.description as { json: { added_tokens?: { id: number; content: string }[] } };
  const others = (json.added_tokens ?? []).filter(({ id }) => !names.has(id));
  const texts = [...names.values(), ...others.map(({ content }) => content)];
  const twice = texts.find((text, i) => texts.indexOf(text) !== i);
  if (twice !== undefined)
    throw new UserError(`${folder}: its tokenizer_config.json gives "${twice.slice(0, 80)}" to more than one token`);
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const named = [...names].map(([id, content]) => ({ id, content, ...flags }));
  return createTokenizer({ ...tokenizer.description, json: { ...json, added_tokens: [...others, ...named] } });
}
