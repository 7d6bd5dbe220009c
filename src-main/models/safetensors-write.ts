import fsp from 'node:fs/promises';
import { DTYPE_BYTES, type Dtype } from './safetensors.ts';

/** A tensor to be written, its bytes made when its turn comes. */
export interface TensorToWrite {
  name: string;
  dtype: Dtype;
  shape: number[];
  bytes(): Promise<Uint8Array>;
}

/** Writes a safetensors file tensor by tensor, so that memory holds one at a time. `onTensor` is called after each. */
export async function writeSafetensors(
  file: string,
  tensors: TensorToWrite[],
  metadata: Record<string, string>,
  onTensor: (done: number) => void = () => {},
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: metadata };
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
  const handle = await fsp.open(file, 'w');
  try {
    await handle.writeFile(Buffer.concat([length, text, padding]));
    for (const [done, { bytes }] of tensors.entries()) {
      await handle.writeFile(await bytes());
      onTensor(done + 1);
    }
  } finally {
    await handle.close();
  }
}
