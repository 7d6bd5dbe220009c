import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import { UserError } from '../../engine/types.ts';

/** No text is packed tighter than this; what is would fill memory or time with what a small file unpacks to. */
const MOST_UNPACKED_PER_BYTE = 400;
/** From here on the share above holds: short files of one repeated row may pack tighter. */
const UNPACKED_UNCHECKED = 2 ** 26;
/** Zstandard's own programs ask for this much at most, bytes. */
const ZSTD_MOST_WINDOW = 2 ** 27;

const PACKED = ['.gz', '.zst'];

/** A file's name without the ending of its packing: `a.jsonl.gz` is `a.jsonl`. */
export function unpackedName(path: string): string {
  const ending = PACKED.find((one) => path.toLowerCase().endsWith(one));
  return ending ? path.slice(0, -ending.length) : path;
}

/** A dataset file's size in bytes. @throws UserError if it is missing or empty */
export async function datasetBytes(path: string): Promise<number> {
  const stat = await fsp.stat(path).catch(() => undefined);
  if (!stat?.isFile()) throw new UserError(`The dataset "${path}" is not there; check the path`);
  if (stat.size === 0) throw new UserError(`The dataset "${path}" is empty; give a file with at least one example`);
  return stat.size;
}

/** A dataset file's bytes, unpacked where its ending says gzip or Zstandard. @throws UserError */
export async function* datasetContent(path: string): AsyncGenerator<Uint8Array> {
  const packedBytes = await datasetBytes(path);
  const ending = PACKED.find((one) => path.toLowerCase().endsWith(one));
  const file = fs.createReadStream(path);
  if (!ending) return yield* file as AsyncIterable<Buffer>;
  const most = Math.max(UNPACKED_UNCHECKED, packedBytes * MOST_UNPACKED_PER_BYTE);
  let bytes = 0;
  try {
    for await (const part of ending === '.gz' ? through(file, zlib.createGunzip()) : zstd(file)) {
      bytes += part.length;
      if (bytes > most)
        throw new UserError(
          `${path} unpacks to more than ${MOST_UNPACKED_PER_BYTE} times its size, which no dataset does; unpack it yourself if it is one`,
        );
      yield part;
    }
  } catch (error) {
    if (error instanceof UserError || (error as NodeJS.ErrnoException).syscall) throw error;
    throw new UserError(`${path} can't be unpacked (${(error as Error).message}); pack it again, or give it unpacked`);
  }
}

/** `file` through a transform; leaving the loop early closes both. */
const through = (file: Readable, unpack: NodeJS.ReadWriteStream): AsyncIterable<Uint8Array> =>
  pipeline(file, unpack, () => {}) as unknown as AsyncIterable<Uint8Array>;

/** Node's own Zstandard where it has it, which holds checksums, too. */
async function* zstd(file: Readable): AsyncGenerator<Uint8Array> {
  const native = zlib as unknown as { createZstdDecompress?: (options: object) => NodeJS.ReadWriteStream };
  if (native.createZstdDecompress) return yield* through(file, native.createZstdDecompress({}));
  const parts: Uint8Array[] = [];
  const unpack = new Decompress((part) => parts.push(part.slice()));
  let started = false;
  for await (const packed of file as AsyncIterable<Buffer>) {
    if (!started) checkWindow(packed);
    started = true;
    unpack.push(packed);
    yield* parts.splice(0);
  }
  unpack.push(new Uint8Array(0), true);
  yield* parts;
}

/** The window is allocated by what the header says. */
function checkWindow(head: Uint8Array): void {
  const descriptor = head[4]!;
  if (head.length < 18 || descriptor & 0x20) return;
  const exponent = 10 + (head[5]! >> 3);
  if (2 ** exponent > ZSTD_MOST_WINDOW)
    throw new Error(`its window is ${2 ** exponent} bytes, and ${ZSTD_MOST_WINDOW} are read at most`);
}
