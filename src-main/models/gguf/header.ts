import { UserError } from '../../engine/types.ts';
import type { FileReader } from '../file-reader.ts';
import { formatOf } from '../../engine/weight-formats.ts';
import { GGML_TYPES, OTHER_TYPES } from './types.ts';
import type { GgufHeader, GgufNumbers, GgufTensor, GgufValue } from './types.ts';

/** The bytes at hand end before the header does: read more, if the file has more. */
class NeedMore extends Error {}

/** Metadata value types by id, with the fewest bytes one takes (GGUF specification, gguf_metadata_value_type). */
const FEWEST_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 8, 9 + 3, 8, 8, 8];
/** A byte order mark is a token like any other. */
const text = new TextDecoder('utf-8', { ignoreBOM: true });
const STRING = 8;
const ARRAY = 9;
const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 4;
/** More than any tokenizer has (of 262,144 tokens and 514,906 merges), so that a header stays small beside its file. */
const MAX_ENTRIES = 1 << 22;
const MAX_HEADER_BYTES = 1 << 28;

/** Arrays of numbers by their type in the file; 10 and 11, 64-bit whole numbers, are converted. */
const NUMBERS: Record<number, new (buffer: ArrayBuffer) => GgufNumbers> = {
  ...{ 0: Uint8Array, 1: Int8Array, 2: Uint16Array, 3: Int16Array, 4: Uint32Array, 5: Int32Array },
  ...{ 6: Float32Array, 7: Uint8Array, 12: Float64Array },
};

/** Reads numbers and strings in file order. Counts are checked against what is left of the file before anything is made. */
class Cursor {
  private place = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly fileBytes: number,
    private readonly broken: (what: string) => UserError,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.place;
  }

  private take(bytes: number): number {
    const at = this.place;
    if (at + bytes > this.fileBytes) throw this.broken(`it ends inside its header, at byte ${this.fileBytes}`);
    if (at + bytes > this.bytes.length) throw new NeedMore();
    this.place += bytes;
    return at;
  }

  u32 = () => this.view.getUint32(this.take(4), true);

  /** A 64-bit count or size. */
  u64(): number {
    const value = this.view.getBigUint64(this.take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw this.broken(`the number ${value} before byte ${this.place} is impossible`);
    return Number(value);
  }

  /** A count of things of at least `bytesEach`: more than the rest of the file can hold is a lie. */
  count(bytesEach: number, what: string): number {
    const count = this.u64();
    if (count * bytesEach > this.fileBytes - this.place)
      throw this.broken(`it claims ${count} ${what} before byte ${this.place}, more than the file can hold`);
    return count;
  }

  string(): string {
    const length = this.count(1, 'bytes of text');
    const at = this.take(length);
    return text.decode(this.bytes.subarray(at, at + length));
  }

  value(type: number, depth = 0): GgufValue {
    if (type === STRING) return this.string();
    if (type === ARRAY) return this.array(depth);
    if (type === 0) return this.view.getUint8(this.take(1));
    if (type === 1) return this.view.getInt8(this.take(1));
    if (type === 2) return this.view.getUint16(this.take(2), true);
    if (type === 3) return this.view.getInt16(this.take(2), true);
    if (type === 4) return this.u32();
    if (type === 5) return this.view.getInt32(this.take(4), true);
    if (type === 6) return this.view.getFloat32(this.take(4), true);
    if (type === 7) return this.view.getUint8(this.take(1)) !== 0;
    if (type === 10) return Number(this.view.getBigUint64(this.take(8), true));
    if (type === 11) return Number(this.view.getBigInt64(this.take(8), true));
    if (type === 12) return this.view.getFloat64(this.take(8), true);
    throw this.broken(`metadata type ${type} before byte ${this.place} is unknown`);
  }

  private array(depth: number): GgufNumbers | GgufValue[] {
    if (depth > 2) throw this.broken(`metadata arrays before byte ${this.place} are nested too deep`);
    const type = this.u32();
    const fewest = FEWEST_BYTES[type];
    if (fewest === undefined) throw this.broken(`metadata type ${type} before byte ${this.place} is unknown`);
    const count = this.count(type === STRING ? 8 : fewest, 'array entries');
    if (count > MAX_ENTRIES) throw this.broken(`an array before byte ${this.place} has ${count} entries, too many`);
    if (type !== STRING && type !== ARRAY) return this.numbers(type, count, fewest);
    const values: GgufValue[] = [];
    for (let i = 0; i < count; i++) values.push(this.value(type, depth + 1));
    return values;
  }

  private numbers(type: number, count: number, bytesEach: number): GgufNumbers {
    const at = this.take(count * bytesEach);
    const { buffer } = this.bytes.slice(at, at + count * bytesEach);
    if (type === 10) return Float64Array.from(new BigUint64Array(buffer), Number);
    if (type === 11) return Float64Array.from(new BigInt64Array(buffer), Number);
    return new NUMBERS[type]!(buffer);
  }
}

/**
 * Reads and checks a GGUF header (versions 2 and 3, little-endian): every count and offset against the file's size.
 * @throws UserError naming the file and the place
 */
export async function readGgufHeader(file: FileReader): Promise<GgufHeader> {
  const broken = (what: string) => new UserError(`${file.path} is not a whole GGUF file: ${what}; fetch it again`);
  for (let bytes = Math.min(1 << 22, file.byteLength); ; bytes = Math.min(bytes * 2, file.byteLength)) {
    if (bytes > MAX_HEADER_BYTES) throw broken(`its header has more than ${MAX_HEADER_BYTES} bytes`);
    try {
      return parseHeader(await file.read(0, bytes), file.byteLength, broken);
    } catch (error) {
      if (!(error instanceof NeedMore)) throw error;
    }
  }
}

function parseHeader(bytes: Uint8Array, fileBytes: number, broken: (what: string) => UserError): GgufHeader {
  const cursor = new Cursor(bytes, fileBytes, broken);
  if (cursor.u32() !== 0x46554747) throw broken('it does not begin with GGUF');
  const version = cursor.u32();
  if (version >= 1 << 24) throw broken('it is written for big-endian machines, which is not read');
  if (version !== 2 && version !== 3) throw broken(`its version is ${version}, where 2 and 3 are read`);
  const tensorCount = cursor.count(8 + 4 + 8 + 4 + 8, 'tensors');
  const metadataCount = cursor.count(8 + 4 + 1, 'metadata entries');
  const metadata = new Map<string, GgufValue>();
  const entries = new Map<string, Uint8Array>();
  for (let i = 0; i < metadataCount; i++) {
    const name = cursor.string();
    const start = cursor.offset;
    if (metadata.has(name)) throw broken(`its metadata names "${name.slice(0, 80)}" twice`);
    metadata.set(name, cursor.value(cursor.u32()));
    entries.set(name, bytes.subarray(start, cursor.offset));
  }
  const found = Array.from({ length: tensorCount }, () => tensorInfo(cursor, broken));
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || !(alignment >= 1 && alignment <= 1 << 20) || alignment % 1)
    throw broken(`its alignment is ${String(alignment)}`);
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  return { version, metadata, entries, tensors: placeTensors(found, { dataStart, fileBytes, alignment }, broken) };
}

function tensorInfo(cursor: Cursor, broken: (what: string) => UserError): GgufTensor {
  const name = cursor.string().slice(0, 200);
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) throw broken(`tensor "${name}" has ${dimensions} dimensions`);
  const shape = Array.from({ length: dimensions }, () => cursor.u64()).reverse();
  const id = cursor.u32();
  const type = formatOf(id);
  const offset = cursor.u64();
  if (!type)
    throw new UserError(
      `Tensor "${name}" is of GGML type ${OTHER_TYPES[id] ?? id}, which is not read; use a file in ${Object.keys(GGML_TYPES).join(', ')}`,
    );
  const { block, bytes } = GGML_TYPES[type];
  const elements = shape.reduce((product, d) => product * d, 1);
  if (!Number.isSafeInteger(elements) || shape.at(-1)! % block)
    throw broken(`tensor "${name}" can't have the shape ${shape.join(' x ')}`);
  return { name, shape, type, offset, byteLength: (elements / block) * bytes };
}

function placeTensors(
  found: GgufTensor[],
  { dataStart, fileBytes, alignment }: { dataStart: number; fileBytes: number; alignment: number },
  broken: (what: string) => UserError,
) {
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of found) {
    const offset = dataStart + tensor.offset;
    if (!(offset + tensor.byteLength <= fileBytes))
      throw broken(`tensor "${tensor.name}" ends behind the end of the file`);
    if (tensor.offset % alignment) throw broken(`tensor "${tensor.name}" is not aligned to ${alignment} bytes`);
    if (tensors.has(tensor.name)) throw broken(`tensor "${tensor.name}" is there twice`);
    tensors.set(tensor.name, { ...tensor, offset });
  }
  const byOffset = [...tensors.values()].filter((t) => t.byteLength > 0).sort((a, b) => a.offset - b.offset);
  byOffset.forEach(({ name, offset }, i) => {
    const before = byOffset[i - 1];
    if (before && offset < before.offset + before.byteLength)
      throw broken(`tensors "${before.name}" and "${name}" lie over each other`);
  });
  return tensors;
}
