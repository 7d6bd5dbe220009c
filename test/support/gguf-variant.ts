import path from 'node:path';
import { MergedTensors } from '../../src-main/exports/merge.ts';
import { ggufOfFolder } from '../../src-main/exports/gguf-of-folder.ts';
import { ggufValue, writeGguf, type GgufTensorToWrite } from '../../src-main/models/gguf/write.ts';
import { openTextModel } from '../../src-main/models/open.ts';

const VOCABULARY = 96;
const DATA = path.join(import.meta.dirname, '../models/data');

/** What a variant has more or other than its model, and what it lacks. */
export interface Variant {
  metadata?: Record<string, Uint8Array>;
  tensors?: GgufTensorToWrite[];
  without?: string[];
}

/** A vocabulary that any GGUF reader opens: single characters, one merge, an end. */
function tokenizer(): Map<string, Uint8Array> {
  const tokens = Array.from({ length: VOCABULARY - 2 }, (_, i) => String.fromCharCode(33 + i));
  tokens.push('ab', '<end>');
  const entries = {
    model: ggufValue.string('gpt2'),
    pre: ggufValue.string('gpt-2'),
    tokens: ggufValue.strings(tokens),
    token_type: ggufValue.i32s(tokens.map((token) => (token === '<end>' ? 3 : 1))),
    merges: ggufValue.strings(['a b']),
    bos_token_id: ggufValue.u32(VOCABULARY - 1),
    eos_token_id: ggufValue.u32(VOCABULARY - 1),
  };
  return new Map(Object.entries(entries).map(([name, value]) => [`tokenizer.ggml.${name}`, value]));
}

/** Metadata and tensors of a GGUF of one of test/models/data's models, changed. */
export async function ggufVariant(model: string, { metadata = {}, tensors = [], without = [] }: Variant = {}) {
  const base = await openTextModel(path.join(DATA, model));
  const nothing = { options: {} as never, tensors: [] };
  const made = await ggufOfFolder(base, new MergedTensors(base, nothing), () => 'f32');
  const own = await Promise.all(made.tensors.map(async (tensor) => ({ ...tensor, data: await tensor.bytes() })));
  await base.close();
  const entries = new Map([...made.entries, ...tokenizer(), ...Object.entries(metadata)]);
  for (const name of without) entries.delete(name);
  return { entries, tensors: [...own.map(({ data, ...rest }) => ({ ...rest, bytes: async () => data })), ...tensors] };
}

/** The same as a file. */
export async function writeGgufVariant(file: string, model: string, variant?: Variant): Promise<string> {
  const { entries, tensors } = await ggufVariant(model, variant);
  await writeGguf(file, entries, tensors);
  return file;
}

/** A tensor of numbers. */
export const numbers = (name: string, values: number[]): GgufTensorToWrite => ({
  name,
  shape: [values.length],
  type: 'f32',
  bytes: async () => new Uint8Array(Float32Array.from(values).buffer),
});
