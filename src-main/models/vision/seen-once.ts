import crypto from 'node:crypto';
import os from 'node:os';
import { keptFolder, KeptFiles } from '../../engine/kept-files.ts';
import { joined } from '../floats.ts';
import { fileStamp } from '../identity.ts';
import type { Look } from './look.ts';
import type { FedPictures } from './preparation/fed.ts';
import type { PatchGrid } from './towers/windows.ts';

/**
 * What frozen pictures become: a tower that doesn't learn looks at each picture, or tile of one, once, however many steps, questions
 * and runs are about it. Features lie in files of the user's cache by what was looked at and what with; none stay in memory. Each is
 * seen alone, so that its numbers are the same whatever else a batch holds.
 */
export class SeenOnce {
  private readonly files = new KeptFiles(keptFolder('seen'), '.features');

  private constructor(
    private readonly look: Look,
    /** what it is seen with: weights, what they do, and the machine */
    private readonly eyes: string,
  ) {}

  /**
   * @param files what the model sees with is read from
   * @param config what it does with it
   * @param engine whose numbers these are
   */
  static async of(files: string[], config: object, engine: string, look: Look): Promise<SeenOnce> {
    const stamps = await Promise.all([...files].sort().map(fileStamp));
    // Another processor, or another number of threads, rounds otherwise.
    const machine = [engine, os.cpus()[0]?.model, os.availableParallelism(), process.env.OMP_NUM_THREADS];
    return new SeenOnce(look, JSON.stringify([stamps, config, machine]));
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
    const hash = crypto.createHash('sha256').update(`${this.eyes} ${grid.rows} ${grid.columns} `);
    const name = hash.update(bytesOf(patches)).digest('hex');
    const known = await this.files.read(name);
    if (known) return new Float32Array(known.buffer);
    const features = await this.look(patches, grid);
    await this.files.write(name, bytesOf(features));
    return features;
  }
}

const patchesOf = ({ rows, columns }: PatchGrid) => rows * columns;
const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);
