import type {
  AsyncBuffer,
  ColumnMetaData,
  Compressors,
  FileMetaData,
  PageHeader,
  RowGroup,
  SchemaTree,
} from 'hyparquet';
import { parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js';

/** A page's header is some dozen bytes, and the least and greatest value of the page. */
const HEADER_BYTES = 2 ** 14;
const MOST_HEADER_BYTES = 2 ** 22;
/** A column may repeat one value so often, or a thousand times a byte: more fills memory from a few bytes. */
const MOST_REPEATED = 2 ** 22;
const MOST_VALUES_PER_BYTE = 1_000;

/**
 * What the pages of a row group claim, before the library takes memory by it: no more values than their column has, in a dictionary no
 * more than it has bytes, and in no run more than its page has. (The library writes a run as long as it says it is, however short the
 * list: some bytes that say 2^30 end the process.)
 * @throws Error
 */
export async function checkPages(file: AsyncBuffer, metadata: FileMetaData, { columns }: RowGroup): Promise<void> {
  const schema = parquetSchema(metadata);
  for (const { meta_data: column } of columns)
    if (column) await checkColumn(file, column, getTreePath(schema, column.path_in_schema));
}

async function checkColumn(file: AsyncBuffer, column: ColumnMetaData, path: SchemaTree[]): Promise<void> {
  const { dictionary_page_offset: dictionary, data_page_offset: data, total_compressed_size: bytes } = column;
  let at = Number(dictionary && dictionary < data ? dictionary : data);
  const end = Math.min(file.byteLength, at + Number(bytes));
  let left = Number(column.num_values);
  if (left > Math.max(MOST_REPEATED, (end - at) * MOST_VALUES_PER_BYTE))
    throw new Error(`a column of ${end - at} bytes claims ${left} values`);
  while (at < end - 1) {
    const { header, length } = await headerAt(file, at, end);
    const body = at + length;
    at = body + sizeOf(header.compressed_page_size);
    sizeOf(header.uncompressed_page_size);
    checkDictionary(header);
    const values = (header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0;
    if (!(values >= 0 && values <= left))
      throw new Error(`a page claims ${values} values, where its column has ${left} left`);
    left -= values;
    if (values > 0) checkRuns(new Uint8Array(await file.slice(body, Math.min(at, end))), header, column, path);
  }
}

function sizeOf(bytes: number): number {
  if (bytes >= 0) return bytes;
  throw new Error('a page without its size');
}

function checkDictionary({ dictionary_page_header: words, uncompressed_page_size: bytes }: PageHeader): void {
  if (words && !(words.num_values >= 0 && words.num_values <= bytes))
    throw new Error(`a dictionary of ${bytes} bytes claims ${words.num_values} values`);
}

/** Walks over the runs of a page's levels and, where they are indices into a dictionary or truths, of its values. */
function checkRuns(packed: Uint8Array, header: PageHeader, column: ColumnMetaData, path: SchemaTree[]): void {
  const unpack = (bytes: Uint8Array, size: number) =>
    decompressPage(bytes, size, column.codec, compressors as Compressors);
  const levels = [getMaxRepetitionLevel(path), getMaxDefinitionLevel(path)];
  const isTruth = column.type === 'BOOLEAN';
  const { data_page_header: first, data_page_header_v2: second } = header;
  if (first) {
    const page = new Runs(unpack(packed, header.uncompressed_page_size), first.num_values);
    for (const level of levels) if (level) page.walkMeasured(bitsOf(level));
    if (isRuns(first.encoding)) page.walkValues(isTruth);
  } else if (second) {
    const before = second.repetition_levels_byte_length + second.definition_levels_byte_length;
    const page = new Runs(packed, second.num_values);
    if (levels[0]) page.walk(bitsOf(levels[0]), second.repetition_levels_byte_length);
    page.offset = second.repetition_levels_byte_length;
    if (levels[1]) page.walk(bitsOf(levels[1]), second.definition_levels_byte_length);
    if (!isRuns(second.encoding)) return;
    const rest = packed.subarray(before);
    const values = second.is_compressed === false ? rest : unpack(rest, header.uncompressed_page_size - before);
    new Runs(values, second.num_values).walkValues(isTruth);
  }
}

const isRuns = (encoding: string) => ['RLE', 'RLE_DICTIONARY', 'PLAIN_DICTIONARY'].includes(encoding);
const bitsOf = (value: number) => 32 - Math.clz32(value);

/** Parquet's hybrid of repeated values and packed bits (parquet-format, Encodings.md, RLE). */
class Runs {
  offset = 0;
  private readonly view: DataView;

  constructor(
    bytes: Uint8Array,
    private readonly values: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Runs with their length in bytes before them. */
  walkMeasured(bits: number): void {
    const length = this.view.getUint32(this.offset, true);
    this.offset += 4;
    this.walk(bits, length);
  }

  walkValues(isTruth: boolean): void {
    if (isTruth) return this.walkMeasured(1);
    const bits = this.view.getUint8(this.offset++);
    if (bits > 0) this.walk(bits, this.view.byteLength - this.offset);
  }

  walk(bits: number, length: number): void {
    const end = this.offset + length;
    for (let seen = 0; seen < this.values && this.offset < end;) {
      const head = this.varint();
      const count = head & 1 ? (head >>> 1) * 8 : head >>> 1;
      this.offset += head & 1 ? (head >>> 1) * bits : (bits + 7) >> 3;
      // Packed bits are filled up to eights.
      if (seen + count > this.values + 7) throw new Error(`a run of ${count} values in a page of ${this.values}`);
      seen += count;
    }
    this.offset = end;
  }

  private varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.view.getUint8(this.offset++);
      value |= (byte & 0x7f) << shift;
      if (!(byte & 0x80) || shift >= 28) return value >>> 0;
    }
  }
}

async function headerAt(file: AsyncBuffer, at: number, end: number): Promise<{ header: PageHeader; length: number }> {
  for (let most = HEADER_BYTES; ; most *= 16) {
    const view = new DataView(await file.slice(at, Math.min(end, at + most)));
    const reader = { view, offset: 0 };
    try {
      return { header: parquetHeader(reader), length: reader.offset };
    } catch (error) {
      // It may go on behind what was read of it.
      if (at + most >= end || most >= MOST_HEADER_BYTES) throw error;
    }
  }
}
