import crypto from 'node:crypto';
import os from 'node:os';
import { keptFolder, KeptFiles } from '../../engine/kept-files.ts';
import { fileStamp } from '../identity.ts';

/**
 * What a frozen part makes of something: a VAE of a picture, a text encoder of a caption. Made once, however many steps and runs are about
 * it; it lies in files of the user's cache by what it was made of and by what.
 */
export class MadeOnce {
  private constructor(
    private readonly files: KeptFiles,
    /** what it is made by: weights, what they do, and the machine */
    private readonly by: string,
  ) {}

  /**
   * @param what a name of its own for each part
   * @param files that the part is read from
   * @param config what it does
   * @param engine whose numbers these are
   */
  static async of(what: 'latents' | 'texts', files: string[], config: object, engine: string): Promise<MadeOnce> {
    const stamps = await Promise.all([...files].sort().map(fileStamp));
    // Another processor, or another number of threads, rounds otherwise.
    const machine = [engine, os.cpus()[0]?.model, os.availableParallelism(), process.env.OMP_NUM_THREADS];
    const kept = new KeptFiles(keptFolder('seen', what), '.features');
    return new MadeOnce(kept, JSON.stringify([what, stamps, config, machine]));
  }

  /** @param of everything that it is made of */
  async take(of: string, make: () => Promise<Float32Array>): Promise<Float32Array> {
    const name = crypto.createHash('sha256').update(`${this.by}\n${of}`).digest('hex');
    const known = await this.files.read(name);
    if (known) return new Float32Array(known.buffer);
    const made = await make();
    await this.files.write(name, new Uint8Array(made.buffer, made.byteOffset, made.byteLength));
    return made;
  }
}
