import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { bfloatsToFloats, bytesToFloats, halvesToFloats } from './floats.ts';
import type { FileReader } from './file-reader.ts';

/** Types of the safetensors format whose numbers are whole bytes, with their size. */
export const DTYPE_BYTES = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, F8_E8M0: 1, F8_E4M3FNUZ: 1, F8_E5M2FNUZ: 1, C64: 8 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
} as const;
export type Dtype = keyof typeof DTYPE_BYTES;

export interface SafetensorsEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** from the start of the file */
  offset: number;
  byteLength: number;
}

export interface SafetensorsHeader {
  tensors: Map<string, SafetensorsEntry>;
  metadata: Record<string, string>;
}

const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const entrySchema = z.object({
  dtype: z.enum(Object.keys(DTYPE_BYTES) as [Dtype, ...Dtype[]]),
  shape: z.array(size).max(8),
  data_offsets: z.tuple([size, size]),
});

/** The format's own limit for the header (safetensors: 100 MB). */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads and checks a file's header: sizes against the file, offsets against shapes, the tensors side by side without a gap (so
 * that a name that is there twice is noticed).
 * @throws UserError naming the file and the place
 */
export async function readSafetensorsHeader(file: FileReader): Promise<SafetensorsHeader> {
  const broken = (what: string) =>
    new UserError(`${file.path} is not a whole safetensors file: ${what}; fetch it again`);
  if (file.byteLength < 8) throw broken(`it has only ${file.byteLength} bytes`);
  const prefix = await file.read(0, 8);
  const headerBytes = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > file.byteLength)
    throw broken(`its header claims ${headerBytes} bytes of ${file.byteLength}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await file.read(8, headerBytes)));
  } catch {
    throw broken('its header is not JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw broken('its header is not an object');
  return checkEntries(json as Record<string, unknown>, 8 + headerBytes, file.byteLength, broken);
}

function checkEntries(
  json: Record<string, unknown>,
  dataStart: number,
  fileBytes: number,
  broken: (what: string) => UserError,
): SafetensorsHeader {
  const header: SafetensorsHeader = { tensors: new Map(), metadata: {} };
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') {
      const metadata = z.record(z.string(), z.string()).safeParse(value);
      if (metadata.success) header.metadata = metadata.data;
      continue;
    }
    const entry = entrySchema.safeParse(value);
    if (!entry.success) throw broken(`the entry of tensor "${name}" has no valid type, shape and offsets`);
    const { dtype, shape, data_offsets: [begin, end] } = entry.data; // prettier-ignore
    const byteLength = shape.reduce((product, d) => product * d, 1) * DTYPE_BYTES[dtype];
    if (end - begin !== byteLength)
      throw broken(`tensor "${name}" has ${end - begin} bytes where its shape needs ${byteLength}`);
    if (dataStart + end > fileBytes) throw broken(`tensor "${name}" ends behind the end of the file`);
    header.tensors.set(name, { name, dtype, shape, offset: dataStart + begin, byteLength });
  }
  const byOffset = [...header.tensors.values()].filter((t) => t.byteLength > 0).sort((a, b) => a.offset - b.offset);
  let end = dataStart;
  let before = '';
  for (const { name, offset, byteLength } of byOffset) {
    if (offset < end) throw broken(`tensors "${before}" and "${name}" lie over each other`);
    if (offset > end) throw broken(`${offset - end} bytes before tensor "${name}" belong to none`);
    end = offset + byteLength;
    before = name;
  }
  if (end !== fileBytes) throw broken(`its last ${fileBytes - end} bytes belong to no tensor`);
  return header;
}

/** One tensor's values, widened to f32. @throws UserError for a type that is not a float */
export async function readFloats(file: FileReader, entry: SafetensorsEntry): Promise<Float32Array> {
  if (entry.dtype !== 'F32' && entry.dtype !== 'F16' && entry.dtype !== 'BF16')
    throw new UserError(`Tensor "${entry.name}" of ${file.path} is of type ${entry.dtype}; F32, F16 and BF16 are read`);
  const bytes = await file.read(entry.offset, entry.byteLength);
  if (entry.dtype === 'F16') return halvesToFloats(bytes);
  return entry.dtype === 'BF16' ? bfloatsToFloats(bytes) : bytesToFloats(bytes);
}

export interface SafetensorsTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  data: ArrayBufferView;
}

/** A safetensors file's bytes: header padded to 8 bytes, tensors in the order given. */
export function encodeSafetensors(tensors: SafetensorsTensor[], metadata?: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + headerBytes + offset);
  new DataView(out.buffer).setBigUint64(0, BigInt(headerBytes), true);
  out.fill(0x20, 8, 8 + headerBytes).set(text, 8);
  let place = 8 + headerBytes;
  for (const { data } of tensors) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place);
    place += data.byteLength;
  }
  return out;
}
