import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import { chatTemplate } from '../chat-template.ts';
import { FileReader } from '../file-reader.ts';
import { fileSha256 } from '../identity.ts';
import { createTokenizer, type TokenizerDescription } from '../tokenizer/tokenizer.ts';
import { tokenizerFromGguf } from '../tokenizer/gguf-tokenizer.ts';
import type { ModelConfig, ModelFile, Tokenizer } from '../types.ts';
import { configFromGguf } from './config.ts';
import { dequantize } from './dequantize.ts';
import { readGgufHeader } from './header.ts';
import { huggingFaceName, permutedHeads, unpermuteRows } from './names.ts';
import type { GgufHeader, GgufTensor } from './types.ts';

/** Opens a GGUF file: header, configuration, tokenizer and template; tensors are read when asked for. */
export async function openGguf(file: string): Promise<ModelFile> {
  const reader = await FileReader.open(file);
  try {
    const header = await readGgufHeader(reader);
    const factors = header.tensors.get('rope_freqs.weight');
    const ropeFactors = factors && [...dequantize(await reader.read(factors.offset, factors.byteLength), factors.type)];
    const config = configFromGguf(header, file, ropeFactors);
    return modelFile(reader, header, config);
  } catch (error) {
    await reader.close();
    throw error;
  }
}

function modelFile(reader: FileReader, header: GgufHeader, config: ModelConfig): ModelFile {
  const gemma = config.architecture === 'gemma3';
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of header.tensors.values()) {
    const name = huggingFaceName(tensor.name, gemma);
    if (name) tensors.set(name, tensor);
  }
  const find = (name: string): GgufTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new UserError(`${reader.path} holds no tensor for "${name}"; is the model whole?`);
    return tensor;
  };
  const readRaw = async (name: string) => {
    const tensor = find(name);
    const bytes = await reader.read(tensor.offset, tensor.byteLength);
    const heads = permutedHeads(name, config);
    return heads ? reorderRows(bytes, tensor.shape[0]!, heads) : bytes;
  };
  return {
    path: reader.path,
    name: path.basename(reader.path, '.gguf'),
    format: 'gguf',
    config,
    tensors: [...tensors].map(([name, { shape, type, byteLength }]) => ({ name, shape, type, byteLength })),
    ...texts(header, reader.path),
    byteLength: reader.byteLength,
    sha256: () => fileSha256(reader.path),
    place(name) {
      const { offset, shape } = find(name);
      const heads = permutedHeads(name, config);
      return { path: reader.path, offset, ...(heads && { order: [...unpermuteRows(shape[0]!, heads)] }) };
    },
    readRaw,
    async readTensor(name) {
      const values = dequantize(await readRaw(name), find(name).type);
      // The converter stores gemma's norms as 1 + weight.
      if (gemma && name.endsWith('norm.weight')) for (let i = 0; i < values.length; i++) values[i]! -= 1;
      return values;
    },
    close: () => reader.close(),
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
  const source = header.metadata.get('tokenizer.chat_template');
  const text = (id?: number) => (id === undefined ? undefined : tokens[id]);
  const special = { bos: text(description.bosTokenId), eos: text(description.eosTokenIds[0]) };
  return {
    tokenizer: tokenizer(description, file),
    warnings: description.warnings,
    chatTemplate: typeof source === 'string' ? chatTemplate(source, special, file) : undefined,
  };
}

function tokenizer(description: TokenizerDescription, file: string): Tokenizer {
  try {
    return createTokenizer(description);
  } catch (error) {
    throw new UserError(`${file}: its tokenizer can't be read: ${(error as Error).message}`);
  }
}
