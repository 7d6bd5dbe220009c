import fsp from 'node:fs/promises';
import { GGML_TYPES, type GgmlType } from './types.ts';

/** A tensor to be written, its bytes made when its turn comes. */
export interface GgufTensorToWrite {
  name: string;
  /** row-major, as everywhere here: the file has it the other way round */
  shape: number[];
  type: GgmlType;
  bytes(): Promise<Uint8Array>;
}

const ALIGNMENT = 32;
const aligned = (size: number) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** Metadata values as their bytes, type first (GGUF specification, gguf_metadata_value_type). */
export const ggufValue = {
  u32: (value: number) => joined([number32(4), number32(value)]),
  f32: (value: number) => joined([number32(6), new Uint8Array(Float32Array.of(value).buffer)]),
  bool: (value: boolean) => joined([number32(7), Uint8Array.of(Number(value))]),
  string: (value: string) => joined([number32(8), string(value)]),
  strings: (values: string[]) => joined([number32(9), number32(8), number64(values.length), ...values.map(string)]),
  i32s: (values: number[]) =>
    joined([number32(9), number32(5), number64(values.length), new Uint8Array(Int32Array.from(values).buffer)]),
  f32s: (values: number[]) =>
    joined([number32(9), number32(6), number64(values.length), new Uint8Array(Float32Array.from(values).buffer)]),
};

/**
 * Writes a GGUF file (version 3, little-endian) tensor by tensor, so that memory holds one at a time.
 * @param entries metadata by name: bytes of a type and a value, of `ggufValue` or another file's header
 * @param onTensor called after each tensor
 */
export async function writeGguf(
  file: string,
  entries: ReadonlyMap<string, Uint8Array>,
  tensors: GgufTensorToWrite[],
  onTensor: (done: number) => void = () => {},
): Promise<void> {
  const kept = [...entries].filter(([name]) => name !== 'general.alignment');
  const head = [number32(0x46554747), number32(3), number64(tensors.length), number64(kept.length)];
  for (const [name, value] of kept) head.push(string(name), value);
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    const { id, block, bytes } = GGML_TYPES[type];
    head.push(
      string(name),
      number32(shape.length),
      ...[...shape].reverse().map(number64),
      number32(id),
      number64(offset),
    );
    offset += aligned((shape.reduce((product, size) => product * size, 1) / block) * bytes);
  }
  const handle = await fsp.open(file, 'w');
  try {
    await handle.writeFile(padded(joined(head)));
    for (const [done, { name, shape, type, bytes }] of tensors.entries()) {
      const data = await bytes();
      const { block, bytes: blockBytes } = GGML_TYPES[type];
      if (data.length !== (shape.reduce((product, size) => product * size, 1) / block) * blockBytes)
        throw new Error(`${name} [${shape.join(', ')}] has ${data.length} bytes as ${type}`);
      await handle.writeFile(padded(data));
      onTensor(done + 1);
    }
  } finally {
    await handle.close();
  }
}

function padded(bytes: Uint8Array): Uint8Array {
  const size = aligned(bytes.length);
  return size === bytes.length ? bytes : joined([bytes, new Uint8Array(size - bytes.length)]);
}

function joined(parts: Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function number32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function number64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

function string(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return joined([number64(bytes.length), bytes]);
}
