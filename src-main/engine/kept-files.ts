import fsp from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { makeRoom, touch } from './cache-room.ts';
import { cacheFolder } from './folders.ts';

/** What is kept in files of their own: pictures as towers take them, what frozen towers made of them, and how engines did on this machine. */
export const KEPT_KINDS = ['pictures', 'seen', 'probes', 'products'] as const;
type Kind = (typeof KEPT_KINDS)[number];

const CHECKSUM_BYTES = 4;
/** In a folder; the least recently used go first. */
const MOST_BYTES = 10 * 2 ** 30;
/** Room is looked for after so many files. */
const FILES_A_LOOK = 1000;

/** The folder of what is kept of a kind, in the user's cache. */
export const keptFolder = (kind: Kind, ...within: string[]): string => path.join(cacheFolder(), kind, ...within);

/** Small files of the user's cache that can be made again, each with a checksum; one that is not whole counts as not there. */
export class KeptFiles {
  private written = 0;

  constructor(
    private readonly folder: string,
    private readonly ending: string,
  ) {}

  private fileOf(name: string): string {
    return path.join(this.folder, `${name}${this.ending}`);
  }

  /** In memory of their own. */
  async read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await fsp.readFile(this.fileOf(name)).catch(() => undefined);
    if (!bytes || bytes.length <= CHECKSUM_BYTES) return undefined;
    const content = new Uint8Array(bytes.subarray(CHECKSUM_BYTES));
    if (crc32(content) !== bytes.readUInt32LE(0)) return undefined;
    await touch(this.fileOf(name));
    return content;
  }

  /** A cache that can't be written costs time, and nothing else. */
  async write(name: string, content: Uint8Array): Promise<void> {
    await this.put(this.fileOf(name), content).catch(() => {});
  }

  private async put(file: string, content: Uint8Array): Promise<void> {
    const checksum = Buffer.alloc(CHECKSUM_BYTES);
    checksum.writeUInt32LE(crc32(content));
    const aside = `${file}.${process.pid}-${++this.written}.partial`;
    await fsp.mkdir(this.folder, { recursive: true });
    await fsp.writeFile(aside, Buffer.concat([checksum, content]));
    await fsp.rename(aside, file);
    if (this.written % FILES_A_LOOK === 0) await makeRoom(this.folder, file, MOST_BYTES, this.ending);
  }
}
