import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { ggufValue } from '../models/gguf/write.ts';
import { GPT2_WORDS } from '../models/tokenizer/cutters.ts';
import { SPLITS } from '../models/tokenizer/pre-tokenizers.ts';
import type { ModelFile } from '../models/types.ts';

const tokenizerSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.number().int().nonnegative(), content: z.string(), special: z.boolean() }))
    .default([]),
  pre_tokenizer: z.unknown(),
  model: z.looseObject({
    type: z.literal('BPE'),
    vocab: z.record(z.string(), z.number().int().nonnegative()),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

/** GGUF's token types (llama.h, llama_token_type). */
const [NORMAL, CONTROL, USER_DEFINED, UNUSED] = [1, 3, 4, 5];

/**
 * The tokenizer of a Hugging Face folder as GGUF metadata: byte-level BPE of the kinds llama.cpp has a name for.
 * Without a tokenizer the file says that it has none.
 * @throws UserError for another kind of tokenizer
 */
export async function ggufTokenizer(base: ModelFile): Promise<Map<string, Uint8Array>> {
  if (!base.tokenizer) return new Map([['tokenizer.ggml.model', ggufValue.string('no_vocab')]]);
  const file = path.join(base.path, 'tokenizer.json');
  const parsed = tokenizerSchema.safeParse(JSON.parse(await fsp.readFile(file, 'utf8')));
  const pre = parsed.success ? preTokenizer(parsed.data.pre_tokenizer) : undefined;
  if (!parsed.success || pre === undefined)
    throw new UserError(
      `${file} is of a kind that can't be written to GGUF here; export merged-safetensors, which llama.cpp's own converter takes`,
    );
  const { model, added_tokens: added } = parsed.data;
  const tokens = Array.from({ length: base.config.vocabularySize }, (_, id) => `[PAD${id}]`);
  const types = tokens.map(() => UNUSED);
  for (const [token, id] of Object.entries(model.vocab)) [tokens[id], types[id]] = [token, NORMAL];
  for (const { id, content, special } of added) [tokens[id], types[id]] = [content, special ? CONTROL : USER_DEFINED];
  const entries = new Map([
    ['tokenizer.ggml.model', ggufValue.string('gpt2')],
    ['tokenizer.ggml.pre', ggufValue.string(pre)],
    ['tokenizer.ggml.tokens', ggufValue.strings(tokens)],
    ['tokenizer.ggml.token_type', ggufValue.i32s(types)],
    [
      'tokenizer.ggml.merges',
      ggufValue.strings(model.merges.map((merge) => (Array.isArray(merge) ? merge.join(' ') : merge))),
    ],
    ['tokenizer.ggml.add_bos_token', ggufValue.bool(false)],
  ]);
  const { bosTokenId, eosTokenIds } = base.tokenizer;
  if (bosTokenId !== undefined) entries.set('tokenizer.ggml.bos_token_id', ggufValue.u32(bosTokenId));
  if (eosTokenIds[0] !== undefined) entries.set('tokenizer.ggml.eos_token_id', ggufValue.u32(eosTokenIds[0]));
  const { chatTemplate: template } = base;
  if (template) entries.set('tokenizer.chat_template', ggufValue.string(template.source));
  if (template?.withTools) entries.set('tokenizer.chat_template.tool_use', ggufValue.string(template.withTools.source));
  return entries;
}

const stepSchema = z.union([
  z.looseObject({ type: z.literal('Sequence'), pretokenizers: z.array(z.unknown()) }),
  z.looseObject({ type: z.literal('Digits'), individual_digits: z.literal(true) }),
  z.looseObject({
    type: z.literal('ByteLevel'),
    add_prefix_space: z.literal(false),
    use_regex: z.boolean().default(true),
  }),
  z.looseObject({
    type: z.literal('Split'),
    pattern: z.looseObject({ Regex: z.string() }),
    behavior: z.literal('Isolated'),
    invert: z.literal(false),
  }),
]);

/** llama.cpp's name of a byte-level pre-tokenizer, by how it splits; undefined for an unknown one. */
function preTokenizer(json: unknown): string | undefined {
  const patterns = JSON.stringify(json ?? null).includes('"ByteLevel"') ? patternsOf(json) : undefined;
  const same = (other: string[]) => other.join('\n') === patterns?.join('\n');
  return Object.keys(SPLITS).find((name) => same(SPLITS[name]!.patterns));
}

function patternsOf(json: unknown): string[] | undefined {
  const step = stepSchema.safeParse(json).data;
  if (!step) return undefined;
  if (step.type === 'Digits') return ['\\p{N}'];
  if (step.type === 'ByteLevel') return step.use_regex ? [GPT2_WORDS] : [];
  if (step.type === 'Split') return [step.pattern.Regex];
  const parts = step.pretokenizers.map(patternsOf);
  return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
}
