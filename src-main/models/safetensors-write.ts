import fsp from 'node:fs/promises';
import { DTYPE_BYTES, type Dtype } from './safetensors.ts';

/** A tensor to be written, its bytes made when its turn comes. */
export interface TensorToWrite {
  name: string;
  dtype: Dtype;
  shape: number[];
  bytes(): Promise<Uint8Array>;
}

/** A safetensors file in pieces: its header, then tensor by tensor, so that memory holds one at a time. */
export async function* safetensorsPieces(
  tensors: TensorToWrite[],
  metadata?: Record<string, string>,
): AsyncGenerator<Uint8Array> {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + shape.reduce((product, size) => product * size, 1) * DTYPE_BYTES[dtype];
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padding = Buffer.alloc((8 - (text.length % 8)) % 8, ' ');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length + padding.length));
  yield Buffer.concat([length, text, padding]);
  for (const { bytes } of tensors) yield await bytes();
}

/** Writes a safetensors file tensor by tensor. `onTensor` is called after each. */
export async function writeSafetensors(
  file: string,
  tensors: TensorToWrite[],
  metadata: Record<string, string>,
  onTensor: (done: number) => void,
): Promise<void> {
  const handle = await fsp.open(file, 'w');
  try {
    let pieces = 0;
    for await (const piece of safetensorsPieces(tensors, metadata)) {
      await handle.writeFile(piece);
      if (pieces > 0) onTensor(pieces);
      pieces++;
    }
  } finally {
    await handle.close();
  }
}
