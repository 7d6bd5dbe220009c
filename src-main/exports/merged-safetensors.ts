import fsp from 'node:fs/promises';
import path from 'node:path';
import { openGgufFile } from '../models/gguf/parts.ts';
import { quantize } from '../models/gguf/quantize.ts';
import { writeSafetensors, type TensorToWrite } from '../models/safetensors-write.ts';
import { tokenizerFromGguf } from '../models/tokenizer/gguf-tokenizer.ts';
import type { TokenizerDescription } from '../models/tokenizer/tokenizer.ts';
import type { ChatTemplate, ModelFile } from '../models/types.ts';
import { huggingFaceConfig } from './huggingface-config.ts';
import type { MergedTensors } from './merge.ts';

/** Numbers as a merged model's safetensors have them. */
export type FloatType = 'f32' | 'f16' | 'bf16';

const DTYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
export const TORCH_DTYPES: Record<FloatType, string> = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' };

/** What of a Hugging Face folder goes along as it is. */
const COPIED = [
  'preprocessor_config.json',
  'processor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'tokenizer.model',
  'chat_template.jinja',
  'generation_config.json',
];

/** Writes a merged model as a Hugging Face folder: model.safetensors, config.json, tokenizer and template. */
export async function writeMergedSafetensors(
  folder: string,
  base: ModelFile,
  merged: MergedTensors,
  type: FloatType,
  onTensor: (done: number, total: number) => void,
): Promise<void> {
  const tensors = base.tensors.map(({ name, shape }) => ({ name, shape, read: () => merged.read(name) }));
  await writeWeights(folder, tensors, type, onTensor);
  await (base.format === 'gguf' ? textsOfGguf(folder, base, type) : textsOfFolder(folder, base, type));
}

/** Writes model.safetensors, tensor by tensor, each read in f32 when its turn comes. */
export async function writeWeights(
  folder: string,
  tensors: { name: string; shape: number[]; read(): Promise<Float32Array> }[],
  type: FloatType,
  onTensor: (done: number, total: number) => void,
): Promise<void> {
  const written = tensors.map(({ name, shape, read }): TensorToWrite => ({
    ...{ name, shape, dtype: DTYPES[type] },
    bytes: async () => quantize(await read(), type),
  }));
  const file = path.join(folder, 'model.safetensors');
  await writeSafetensors(file, written, { format: 'pt' }, (done) => onTensor(done, written.length));
}

export const writeJson = (folder: string, name: string, value: object) =>
  fsp.writeFile(path.join(folder, name), `${JSON.stringify(value, null, 2)}\n`);

async function textsOfFolder(folder: string, base: ModelFile, type: FloatType): Promise<void> {
  const source = JSON.parse(await fsp.readFile(path.join(base.path, 'config.json'), 'utf8')) as Record<string, unknown>;
  // Only the text model of a model with vision is written.
  const config = {
    ...source,
    ...(source.text_config as object | undefined),
    text_config: undefined,
    vision_config: undefined,
  };
  const name = source.text_config ? { model_type: 'gemma3_text', architectures: ['Gemma3ForCausalLM'] } : {};
  await writeJson(folder, 'config.json', { ...config, ...name, torch_dtype: undefined, dtype: TORCH_DTYPES[type] });
  await copyTexts(base.path, folder);
}

/** Copies what of a Hugging Face folder goes along as it is. */
export async function copyTexts(from: string, to: string): Promise<void> {
  for (const file of COPIED) {
    const text = await fsp.readFile(path.join(from, file)).catch(() => undefined);
    if (text) await fsp.writeFile(path.join(to, file), text);
  }
}

async function textsOfGguf(folder: string, base: ModelFile, type: FloatType): Promise<void> {
  const source = await openGgufFile(base.path);
  const { header } = source;
  await source.close();
  await writeJson(folder, 'config.json', { ...huggingFaceConfig(base.config, base.path), dtype: TORCH_DTYPES[type] });
  const { bosTokenId, eosTokenIds } = base.config;
  await writeJson(folder, 'generation_config.json', { bos_token_id: bosTokenId, eos_token_id: eosTokenIds });
  const description = tokenizerFromGguf(header, base.path);
  if (!description) return;
  const tokens = header.metadata.get('tokenizer.ggml.tokens') as string[];
  await fsp.writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(withBos(description, tokens)));
  const text = (id: number | undefined) => (id === undefined ? undefined : tokens[id]);
  await writeJson(folder, 'tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: text(description.bosTokenId),
    eos_token: text(description.eosTokenIds[0]),
    clean_up_tokenization_spaces: false,
    model_max_length: base.config.contextLength,
    chat_template: templateEntry(base.chatTemplate),
  });
}

/** A model's template as tokenizer_config.json has it: with its second one, by their names. */
function templateEntry(template: ChatTemplate | undefined): unknown {
  if (!template?.withTools) return template?.source;
  return [
    { name: 'default', template: template.source },
    { name: 'tool_use', template: template.withTools.source },
  ];
}

/** GGUF's add_bos_token as tokenizer.json says it: a post-processor. */
function withBos({ json, addBos, bosTokenId }: TokenizerDescription, tokens: string[]): object {
  if (!addBos || bosTokenId === undefined) return json;
  const bos = tokens[bosTokenId]!;
  const token = { SpecialToken: { id: bos, type_id: 0 } };
  const [a, b] = ['A', 'B'].map((id) => ({ Sequence: { id, type_id: 0 } }));
  return {
    ...json,
    post_processor: {
      type: 'TemplateProcessing',
      single: [token, a],
      pair: [token, a, b],
      special_tokens: { [bos]: { id: bos, ids: [bosTokenId], tokens: [bos] } },
    },
  };
}
