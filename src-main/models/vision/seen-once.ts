import crypto from 'node:crypto';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { makeRoom, touch } from '../../engine/cache-room.ts';
import { cacheFolder } from '../../engine/folders.ts';
import { joined } from '../floats.ts';
import { fileStamp } from '../identity.ts';
import type { FedPictures } from './preparation/fed.ts';
import type { PatchGrid } from './towers/windows.ts';

const ENDING = '.features';
const CHECKSUM_BYTES = 4;
/** Of all models' features; the least recently used go first. */
const MOST_KEPT_BYTES = 10 * 2 ** 30;
/** Room is looked for after so many pictures. */
const PICTURES_A_LOOK = 1000;

/** A picture, or a tile of one: its features [tokens, hidden]. */
type See = (patches: Float32Array, grid: PatchGrid) => Promise<Float32Array>;

/**
 * What frozen pictures become: a tower that doesn't learn looks at each picture, or tile of one, once, however many steps, questions
 * and runs are about it. Features lie in files of the user's cache by what was looked at and what with; none stay in memory, and one that is not there, or not
 * whole, is made again. Each is seen alone, so that its numbers are the same whatever else a batch holds.
 */
export class SeenOnce {
  private written = 0;

  private constructor(
    private readonly see: See,
    /** what it is seen with: weights, what they do, and the machine */
    private readonly eyes: string,
    private readonly place: string,
  ) {}

  /**
   * @param files what the model sees with is read from
   * @param config what it does with it
   * @param engine whose numbers these are
   */
  static async of(files: string[], config: object, engine: string, see: See): Promise<SeenOnce> {
    const stamps = await Promise.all([...files].sort().map(fileStamp));
    // Another processor, or another number of threads, rounds otherwise.
    const machine = [engine, os.cpus()[0]?.model, os.availableParallelism(), process.env.OMP_NUM_THREADS];
    return new SeenOnce(see, JSON.stringify([stamps, config, machine]), path.join(cacheFolder(), 'seen'));
  }

  /** [features, hidden], picture after picture. */
  async features({ patches, grids }: FedPictures): Promise<Float32Array> {
    const total = grids.reduce((sum, grid) => sum + patchesOf(grid), 0);
    const width = patches.length / total;
    const features: Float32Array[] = [];
    let first = 0;
    for (const grid of grids) {
      const own = patches.subarray(first * width, (first + patchesOf(grid)) * width);
      features.push(await this.one(own, grid));
      first += patchesOf(grid);
    }
    return joined(features);
  }

  private async one(patches: Float32Array, grid: PatchGrid): Promise<Float32Array> {
    const { buffer, byteOffset, byteLength } = patches;
    const hash = crypto.createHash('sha256').update(`${this.eyes} ${grid.rows} ${grid.columns} `);
    const name = hash.update(new Uint8Array(buffer, byteOffset, byteLength)).digest('hex');
    const file = path.join(this.place, `${name}${ENDING}`);
    const known = await kept(file);
    if (known) return known;
    const features = await this.see(patches, grid);
    // A cache that can't be written costs time, and nothing else.
    await this.write(file, features).catch(() => {});
    return features;
  }

  private async write(file: string, features: Float32Array): Promise<void> {
    const bytes = new Uint8Array(features.buffer, features.byteOffset, features.byteLength);
    const checksum = Buffer.alloc(CHECKSUM_BYTES);
    checksum.writeUInt32LE(crc32(bytes));
    const aside = `${file}.${process.pid}-${++this.written}.partial`;
    await fsp.mkdir(this.place, { recursive: true });
    await fsp.writeFile(aside, Buffer.concat([checksum, bytes]));
    await fsp.rename(aside, file);
    if (this.written % PICTURES_A_LOOK === 0) await makeRoom(this.place, file, MOST_KEPT_BYTES, ENDING);
  }
}

const patchesOf = ({ rows, columns }: PatchGrid) => rows * columns;

async function kept(file: string): Promise<Float32Array | undefined> {
  const bytes = await fsp.readFile(file).catch(() => undefined);
  if (!bytes || bytes.length <= CHECKSUM_BYTES || bytes.length % 4 !== 0) return undefined;
  const values = new Uint8Array(bytes.subarray(CHECKSUM_BYTES));
  if (crc32(values) !== bytes.readUInt32LE(0)) return undefined;
  await touch(file);
  return new Float32Array(values.buffer);
}
