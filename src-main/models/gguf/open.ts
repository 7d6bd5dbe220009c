import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import { chatTemplate } from '../chat-template.ts';
import { endingTurns } from '../end-of-turn.ts';
import { fileSha256, foldHashes } from '../identity.ts';
import { checkTensorName } from '../tensor-names.ts';
import { createTokenizer, type TokenizerDescription } from '../tokenizer/tokenizer.ts';
import { tokenizerFromGguf } from '../tokenizer/gguf-tokenizer.ts';
import type { ModelConfig, ModelFile, Tokenizer } from '../types.ts';
import { configFromGguf } from './config.ts';
import { languagesOf } from '../languages.ts';
import { dequantize } from './dequantize.ts';
import { huggingFaceName, isRopeTensor, permutedHeads, unpermuteRows } from './names.ts';
import { openGgufFile, type GgufFile } from './parts.ts';
import type { RopeTensors } from './rope.ts';
import type { GgufHeader, GgufTensor } from './types.ts';

/** Opens a GGUF file, or all parts of a split one: header, configuration, tokenizer and template; tensors are read when asked for. */
export async function openGguf(file: string): Promise<ModelFile> {
  const opened = await openGgufFile(file);
  try {
    const config = configFromGguf(opened.header, file, await ropeTensors(opened));
    return modelFile(file, opened, config);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** No head is wider: more divisors than this are not read. */
const MOST_DIVISORS = 65536;

async function ropeTensors({ header, read }: GgufFile): Promise<RopeTensors> {
  const values = async (name: string) => {
    const tensor = header.tensors.get(`${name}.weight`);
    if (!tensor) return undefined;
    if (tensor.shape.length !== 1 || tensor.shape[0]! > MOST_DIVISORS)
      throw new UserError(
        `The tensor "${tensor.name}" has the shape ${tensor.shape.join(' x ')}; fetch the model again`,
      );
    return [...dequantize(await read(tensor), tensor.type)];
  };
  return {
    divisors: await values('rope_freqs'),
    short: await values('rope_factors_short'),
    long: await values('rope_factors_long'),
  };
}

function modelFile(file: string, opened: GgufFile, config: ModelConfig): ModelFile {
  const { header, paths } = opened;
  const gemma = config.architecture === 'gemma3';
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of header.tensors.values()) {
    // llama.cpp knows divisors of RoPE's frequencies in the architecture llama only.
    if (isRopeTensor(tensor.name) && config.architecture === 'llama') continue;
    const name = huggingFaceName(tensor.name, gemma);
    checkTensorName(name, tensor.name, config, file);
    tensors.set(name!, tensor);
  }
  const find = (name: string): GgufTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new UserError(`${file} holds no tensor for "${name}"; is the model whole?`);
    return tensor;
  };
  const readRaw = async (name: string) => {
    const tensor = find(name);
    const bytes = await opened.read(tensor);
    const heads = permutedHeads(name, config);
    return heads ? reorderRows(bytes, tensor.shape[0]!, heads) : bytes;
  };
  const read = texts(header, file);
  return {
    makes: 'texts',
    path: file,
    name: path.basename(file).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, ''),
    format: 'gguf',
    config: { ...config, eosTokenIds: [...new Set([...config.eosTokenIds, ...(read.tokenizer?.eosTokenIds ?? [])])] },
    tensors: [...tensors].map(([name, { shape, type, byteLength }]) => ({ name, shape, type, byteLength })),
    ...read,
    languages: languagesOf(header.metadata.get('general.languages')),
    byteLength: opened.byteLength,
    sha256: async () => foldHashes(await Promise.all(paths.map(fileSha256))),
    place(name) {
      const tensor = find(name);
      const heads = permutedHeads(name, config);
      const order = heads && [...unpermuteRows(tensor.shape[0]!, heads)];
      return { path: opened.pathOf(tensor), offset: tensor.offset, ...(order && { order }) };
    },
    readRaw,
    async readTensor(name) {
      const values = dequantize(await readRaw(name), find(name).type);
      // The converter stores gemma's norms as 1 + weight.
      if (gemma && name.endsWith('norm.weight')) for (let i = 0; i < values.length; i++) values[i]! -= 1;
      return values;
    },
    close: opened.close,
  };
}

function reorderRows(bytes: Uint8Array, rows: number, heads: number): Uint8Array {
  const rowBytes = bytes.length / rows;
  const out = new Uint8Array(bytes.length);
  unpermuteRows(rows, heads).forEach((from, to) =>
    out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), to * rowBytes),
  );
  return out;
}

function texts(header: GgufHeader, file: string): Pick<ModelFile, 'tokenizer' | 'chatTemplate' | 'warnings'> {
  const description = tokenizerFromGguf(header, file);
  if (!description) return {};
  const tokens = header.metadata.get('tokenizer.ggml.tokens') as string[];
  const [source, toolUse] = ['', '.tool_use'].map((which) => header.metadata.get(`tokenizer.chat_template${which}`));
  const text = (id?: number) => (id === undefined ? undefined : tokens[id]);
  const special = { bos: text(description.bosTokenId), eos: text(description.eosTokenIds[0]) };
  const template = typeof source === 'string' ? chatTemplate(source, special, file, typeof toolUse === 'string' ? toolUse : undefined) : undefined; // prettier-ignore
  return {
    tokenizer: endingTurns(tokenizer(description, file), template),
    warnings: description.warnings,
    chatTemplate: template,
  };
}

function tokenizer(description: TokenizerDescription, file: string): Tokenizer {
  try {
    return createTokenizer(description);
  } catch (error) {
    throw new UserError(`${file}: its tokenizer can't be read: ${(error as Error).message}`);
  }
}
