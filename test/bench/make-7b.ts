import fs from 'node:fs';
import crypto from 'node:crypto';
import { bytesOfRows, GGML_TYPES, type WeightFormat } from '../../src-main/engine/weight-formats.ts';

/** The shapes of a 7B model (Qwen2.5-7B's). */
export const SEVEN_B = {
  layers: 28,
  hidden: 3584,
  inner: 18944,
  heads: 28,
  keyValueHeads: 4,
  vocabulary: 152064,
};

/** Of a block's f16 scales their bytes and values, by which random quants become weights of about 0.018. */
const SCALES = {
  q4_0: { 0: 0x1c19 },
  q8_0: { 0: 0x0bf6 },
  // d and dmin: what is subtracted is what the quants are on the mean
  q4_k: { 0: 0x0420, 2: 0x0fbe },
} satisfies Partial<Record<WeightFormat, Record<number, number>>>;
export type RandomFormat = keyof typeof SCALES;

const ALIGNMENT = 32;

interface Planned {
  name: string;
  /** GGUF's order: the contiguous dimension first */
  shape: number[];
  format: RandomFormat | 'f32';
  /** of f32 tensors: what they hold */
  value?: number;
}

function tensors(shapes: typeof SEVEN_B, format: RandomFormat): Planned[] {
  const { layers, hidden, inner, heads, keyValueHeads, vocabulary } = shapes;
  const keys = (hidden / heads) * keyValueHeads;
  const matrix = (name: string, width: number, rows: number): Planned => ({ name, shape: [width, rows], format });
  const vector = (name: string, size: number, value: number): Planned => ({
    name,
    shape: [size],
    format: 'f32',
    value,
  });
  const list = [matrix('token_embd.weight', hidden, vocabulary), matrix('output.weight', hidden, vocabulary)];
  list.push(vector('output_norm.weight', hidden, 1));
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}`;
    list.push(vector(name('attn_norm.weight'), hidden, 1), vector(name('ffn_norm.weight'), hidden, 1));
    for (const [part, rows] of Object.entries({ attn_q: hidden, attn_k: keys, attn_v: keys }))
      list.push(matrix(name(`${part}.weight`), hidden, rows), vector(name(`${part}.bias`), rows, 0));
    list.push(matrix(name('attn_output.weight'), hidden, hidden));
    list.push(matrix(name('ffn_gate.weight'), hidden, inner), matrix(name('ffn_up.weight'), hidden, inner));
    list.push(matrix(name('ffn_down.weight'), inner, hidden));
  }
  return list;
}

/** Little-endian bytes of a GGUF header (GGUF specification, version 3). */
class Bytes {
  private readonly parts: Buffer[] = [];
  length = 0;
  private add(part: Buffer): this {
    this.parts.push(part);
    this.length += part.length;
    return this;
  }
  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.add(part);
  }
  u64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    return this.add(part);
  }
  f32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    return this.add(part);
  }
  text(value: string): this {
    return this.u64(Buffer.byteLength(value)).add(Buffer.from(value));
  }
  pad(): this {
    return this.add(Buffer.alloc(-this.length & (ALIGNMENT - 1)));
  }
  all(): Buffer {
    return Buffer.concat(this.parts);
  }
}

const bytesOf = ({ shape, format }: Planned) =>
  bytesOfRows(
    format,
    shape.reduce((a, b) => a * b, 1),
    1,
  );
const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function header(shapes: typeof SEVEN_B, list: Planned[]): Buffer {
  const numbers: [string, number][] = [
    ['block_count', shapes.layers],
    ['embedding_length', shapes.hidden],
    ['feed_forward_length', shapes.inner],
    ['context_length', 32768],
    ['attention.head_count', shapes.heads],
    ['attention.head_count_kv', shapes.keyValueHeads],
  ];
  const floats: [string, number][] = [
    ['attention.layer_norm_rms_epsilon', 1e-6],
    ['rope.freq_base', 1e6],
  ];
  const bytes = new Bytes().u32(0x46554747).u32(3);
  bytes.u64(list.length).u64(1 + numbers.length + floats.length);
  bytes.text('general.architecture').u32(8).text('qwen2');
  for (const [key, value] of numbers) bytes.text(`qwen2.${key}`).u32(4).u32(value);
  for (const [key, value] of floats) bytes.text(`qwen2.${key}`).u32(6).f32(value);
  let offset = 0;
  for (const tensor of list) {
    bytes.text(tensor.name).u32(tensor.shape.length);
    for (const size of tensor.shape) bytes.u64(size);
    bytes.u32(GGML_TYPES[tensor.format].id).u64(offset);
    offset += padded(bytesOf(tensor));
  }
  return bytes.pad().all();
}

/** Writes a Qwen2-like GGUF with random weights, piece by piece (some 4.3 GB for SEVEN_B in Q4_0). It has no tokenizer. */
export function writeRandomModel(file: string, shapes = SEVEN_B, format: RandomFormat = 'q4_0'): void {
  const list = tensors(shapes, format);
  const handle = fs.openSync(file, 'w');
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += fs.writeSync(handle, bytes, done);
  };
  try {
    write(header(shapes, list));
    for (const tensor of list) {
      const bytes = bytesOf(tensor);
      if (tensor.format === 'f32') write(Buffer.from(new Float32Array(bytes / 4).fill(tensor.value!).buffer));
      else writeBlocks(bytes, tensor.format, write);
      write(Buffer.alloc(padded(bytes) - bytes));
    }
  } finally {
    fs.closeSync(handle);
  }
}

/** The same whose weights are all 0, which takes no room on a disk. */
export function writeEmptyModel(file: string, shapes: typeof SEVEN_B, format: RandomFormat): void {
  const list = tensors(shapes, format);
  const bytes = header(shapes, list);
  fs.writeFileSync(file, bytes);
  fs.truncateSync(file, bytes.length + list.reduce((sum, tensor) => sum + padded(bytesOf(tensor)), 0));
}

function writeBlocks(bytes: number, format: RandomFormat, write: (bytes: Uint8Array) => void): void {
  const blockBytes = GGML_TYPES[format].bytes;
  const piece = Buffer.alloc(blockBytes << 18);
  for (let left = bytes; left > 0; left -= piece.length) {
    const part = piece.subarray(0, Math.min(left, piece.length));
    crypto.randomFillSync(part);
    for (let block = 0; block < part.length; block += blockBytes)
      for (const [at, scale] of Object.entries(SCALES[format])) part.writeUInt16LE(scale, block + Number(at));
    write(part);
  }
}
