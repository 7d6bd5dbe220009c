import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openPromise, type Entry, type ZipFile } from 'yauzl';
import { parseAdapterDescription } from '../effilora/adapter-schema.ts';
import { UserError } from '../engine/types.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';
import { readNamedTensors } from '../trainer/tensor-file.ts';
import { MAX_TEXT_BYTES, SHARE_FILES } from './share-file.ts';

const NAMES: readonly string[] = Object.values(SHARE_FILES);
const STORED = 0;

/**
 * Reads an `.effilora` file. Only the names it may hold are looked at, none of them is a path; texts are small; tensors are
 * stored, not compressed, so that nothing grows by being unpacked. Sizes are checked before memory or disk is taken, and while
 * reading.
 * @throws UserError in one sentence for a file that is not one, or not whole
 */
export async function readShareFile(file: string): Promise<StoredAdapter> {
  const name = path.basename(file);
  const zip = await openPromise(file, { autoClose: false }).catch((error: Error) => {
    throw new UserError(`${name} is no .effilora file: ${error.message}`);
  });
  const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'effilora-import-'));
  try {
    const entries = await checkedEntries(zip, name);
    const description = await readText(zip, entries.get(SHARE_FILES.description)!, name);
    const tensors = path.join(folder, SHARE_FILES.tensors);
    const { uncompressedSize } = entries.get(SHARE_FILES.tensors)!;
    const stream = await zip.openReadStreamPromise(entries.get(SHARE_FILES.tensors)!);
    await pipeline(stream, atMost(uncompressedSize, name), fs.createWriteStream(tensors));
    return {
      description: parseAdapterDescription(description, `${name}, ${SHARE_FILES.description}`),
      tensors: (await readNamedTensors(tensors)).tensors,
    };
  } catch (error) {
    if (error instanceof UserError) throw new UserError(error.message.replaceAll(folder + path.sep, `${name}, `));
    throw new UserError(`${name} is damaged (${(error as Error).message}); have it sent again`);
  } finally {
    zip.close();
    await fsp.rm(folder, { recursive: true, force: true });
  }
}

/** The entries by name. @throws UserError for anything that an .effilora file doesn't hold */
async function checkedEntries(zip: ZipFile, file: string): Promise<Map<string, Entry>> {
  const refuse = (why: string) => new UserError(`${file} is not taken in: ${why}. Nothing was unpacked.`);
  if (zip.entryCount > NAMES.length)
    throw refuse(`it holds ${zip.entryCount} files, an adapter has at most ${NAMES.length}`);
  const entries = new Map<string, Entry>();
  try {
    for await (const entry of zip.eachEntry()) {
      const { fileName, compressionMethod, uncompressedSize } = entry;
      if (!NAMES.includes(fileName))
        throw refuse(`it holds "${fileName.slice(0, 80)}", which is no file of an adapter`);
      if (entries.has(fileName)) throw refuse(`it holds ${fileName} twice`);
      if (fileName !== SHARE_FILES.tensors && uncompressedSize > MAX_TEXT_BYTES)
        throw refuse(`its ${fileName} would unpack to ${uncompressedSize} bytes`);
      if (fileName === SHARE_FILES.tensors && (compressionMethod !== STORED || uncompressedSize > zip.fileSize))
        throw refuse(`its ${fileName} claims ${uncompressedSize} bytes, compressed`);
      entries.set(fileName, entry);
    }
  } catch (error) {
    // yauzl refuses absolute and relative paths and backslashes itself.
    if (error instanceof UserError) throw error;
    throw refuse((error as Error).message);
  }
  for (const needed of [SHARE_FILES.description, SHARE_FILES.tensors])
    if (!entries.has(needed)) throw refuse(`it holds no ${needed}`);
  return entries;
}

async function readText(zip: ZipFile, entry: Entry, file: string): Promise<string> {
  const stream = await zip.openReadStreamPromise(entry);
  const chunks: Buffer[] = [];
  await pipeline(stream, atMost(MAX_TEXT_BYTES, file), async (source: AsyncIterable<Buffer>) => {
    for await (const chunk of source) chunks.push(chunk);
  });
  return Buffer.concat(chunks).toString('utf8');
}

/** Lets bytes through up to a limit: what a header claims is no proof. */
function atMost(bytes: number, file: string): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      seen += chunk.length;
      if (seen > bytes) done(new UserError(`${file} is not taken in: it unpacks to more than it claims.`));
      else done(null, chunk);
    },
  });
}
