import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { readJsonFile } from '../json-file.ts';
import { addedTokenSchema, type AddedToken } from './added-tokens.ts';
import type { SpecialTexts } from '../types.ts';
import type { TokenizerDescription } from './tokenizer.ts';

/** The largest files that are read (tokenizer.json of a 262,144-token vocabulary has 33 MB). */
const MAX_JSON_BYTES = 200_000_000;
const MAX_CONFIG_BYTES = 16 << 20;

/** A token by its text, or with its flags. */
const unnumberedSchema = addedTokenSchema.omit({ id: true });
type UnnumberedToken = z.infer<typeof unnumberedSchema>;
const tokenSchema = z.union([z.string(), unnumberedSchema]).nullish();
type Token = z.infer<typeof tokenSchema>;
const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;

const configSchema = z.looseObject({
  bos_token: tokenSchema,
  eos_token: tokenSchema,
  unk_token: tokenSchema,
  sep_token: tokenSchema,
  pad_token: tokenSchema,
  cls_token: tokenSchema,
  mask_token: tokenSchema,
  additional_special_tokens: z.array(tokenSchema).nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), unnumberedSchema).nullish(),
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
});
export type TokenizerConfig = z.infer<typeof configSchema>;

const idsSchema = z.union([z.number().int().nonnegative(), z.array(z.number().int().nonnegative())]).nullish();
const generationSchema = z.looseObject({ eos_token_id: idsSchema });
const jsonSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  model: z.looseObject({ vocab: z.unknown() }),
});

/** The tokenizer of a Hugging Face folder, and what its configuration says beside it. */
export interface FolderTokenizer {
  description: TokenizerDescription;
  special: SpecialTexts;
  chatTemplate: TokenizerConfig['chat_template'];
}

/**
 * Reads tokenizer.json with tokenizer_config.json, special_tokens_map.json and generation_config.json as transformers (5) does: what
 * is put around a text is tokenizer.json's to say, whatever add_bos_token and add_eos_token are; every token with a name is found in
 * the text as written.
 * @param model what config.json says of beginning and end
 * @param make what tokenizer.json would be where the folder has none
 * @returns undefined where there is none, and none is made
 */
export async function tokenizerOfFolder(
  folder: string,
  model: { bosTokenId?: number; eosTokenIds: number[] },
  make?: (special: SpecialTexts) => Promise<object>,
): Promise<FolderTokenizer | undefined> {
  const file = path.join(folder, 'tokenizer.json');
  const isThere = fs.existsSync(file);
  if (!isThere && !make) return undefined;
  const read = async <S extends z.ZodType>(name: string, schema: S) => {
    const place = path.join(folder, name);
    return parsed(schema, fs.existsSync(place) ? await readJsonFile(place, MAX_CONFIG_BYTES) : {}, place);
  };
  const map = await read('special_tokens_map.json', configSchema);
  const config = { ...map, ...withoutNulls(await read('tokenizer_config.json', configSchema)) } as TokenizerConfig;
  const generation = await read('generation_config.json', generationSchema);

  const special = specialTexts(config);
  const content = jsonSchema.safeParse(isThere ? await readJsonFile(file, MAX_JSON_BYTES) : await make!(special));
  if (!content.success) throw new UserError(`${file} is no tokenizer (${whatIsWrong(content.error)}); fetch it again`);
  const json = content.data;
  const added = withNamedTokens(json, config);
  const { bos, eos } = special;
  const id = (text?: string) => (text === undefined ? undefined : added.find(({ content }) => content === text)?.id);
  const ends = [id(eos), ...model.eosTokenIds, ...[generation.eos_token_id ?? []].flat()];
  const description: TokenizerDescription = {
    json: { ...json, added_tokens: added },
    addBos: false,
    addEos: false,
    bosTokenId: id(bos) ?? model.bosTokenId,
    eosTokenIds: [...new Set(ends.filter((end) => end !== undefined))],
  };
  return { description, special, chatTemplate: config.chat_template };
}

/** What a chat template takes for the special tokens' names. */
function specialTexts(config: TokenizerConfig): SpecialTexts {
  const {
    bos_token: bos,
    eos_token: eos,
    ...others
  } = Object.fromEntries(
    NAMED.map((name) => [name, textOf(config[name])] as const).filter(([, text]) => text !== undefined),
  ) as Record<string, string>;
  return { bos, eos, others };
}

function parsed<S extends z.ZodType>(schema: S, json: unknown, file: string): z.infer<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new UserError(`${file}: ${whatIsWrong(result.error)}`);
}

function whatIsWrong({ issues }: z.ZodError): string {
  const { path: place, message } = issues[0]!;
  return [...place, message].join(': ');
}

const withoutNulls = (object: object) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null && value !== undefined));
const textOf = (token: Token) => (typeof token === 'string' ? token : token?.content);

/** tokenizer.json's added tokens with those that only the configuration names; its flags count where both name one. */
function withNamedTokens(json: z.infer<typeof jsonSchema>, config: TokenizerConfig): AddedToken[] {
  const tokens = new Map(json.added_tokens.map((token) => [token.content, token]));
  const free = newIds(json);
  const add = (token: UnnumberedToken) =>
    tokens.set(token.content, { ...token, id: tokens.get(token.content)?.id ?? free(token.content) });
  const decoder = Object.entries(config.added_tokens_decoder ?? {}).sort(([a], [b]) => Number(a) - Number(b));
  for (const [, token] of decoder) add(token);
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const named: Token[] = [...NAMED.map((name) => config[name]), ...(config.additional_special_tokens ?? [])];
  for (const token of named) {
    const content = textOf(token);
    if (!content || tokens.has(content)) continue;
    add(typeof token === 'object' && token ? { ...token, special: true } : { ...flags, content });
  }
  return [...tokens.values()];
}

/** Ids of tokens that are not among the added ones: their own in the vocabulary, else the next ones behind all. */
function newIds({ model, added_tokens }: z.infer<typeof jsonSchema>): (content: string) => number {
  const { vocab } = model;
  const own = Array.isArray(vocab)
    ? new Map(vocab.map((entry, id) => [(entry as unknown[])[0], id]))
    : new Map(Object.entries((vocab ?? {}) as Record<string, number>));
  let next = added_tokens.reduce((most, { id }) => Math.max(most, id + 1), own.size);
  return (content) => own.get(content) ?? next++;
}
