import crypto from 'node:crypto';
import os from 'node:os';
import { keptFolder, KeptFiles } from '../engine/kept-files.ts';
import { fileStamp } from './identity.ts';

/**
 * What a frozen part makes of something: a tower or a VAE of a picture, a text encoder of a caption. Made once, however many steps,
 * questions and runs are about it; it lies in files of the user's cache by what it was made of and by what.
 */
export class MadeOnce {
  private constructor(
    private readonly files: KeptFiles,
    /** what it is made by: weights, what they do, and the machine */
    private readonly by: string,
  ) {}

  /**
   * @param what a name of its own for each part; none: what towers see
   * @param files that the part is read from
   * @param config what it does
   * @param engine whose numbers these are
   */
  static async of(
    what: 'latents' | 'texts' | undefined,
    files: string[],
    config: object,
    engine: string,
  ): Promise<MadeOnce> {
    const stamps = await Promise.all([...files].sort().map(fileStamp));
    // Another processor, or another number of threads, rounds otherwise.
    const machine = [engine, os.cpus()[0]?.model, os.availableParallelism(), process.env.OMP_NUM_THREADS];
    const kept = new KeptFiles(keptFolder('seen', ...(what ? [what] : [])), '.features');
    return new MadeOnce(kept, JSON.stringify([what, stamps, config, machine]));
  }

  /** @param of everything that it is made of */
  async take(of: (string | Uint8Array)[], make: () => Promise<Float32Array>): Promise<Float32Array> {
    const hash = crypto.createHash('sha256').update(`${this.by}\n`);
    for (const part of of) hash.update(part);
    const name = hash.digest('hex');
    const known = await this.files.read(name);
    if (known) return new Float32Array(known.buffer);
    const made = await make();
    await this.files.write(name, bytesOf(made));
    return made;
  }
}

/** The bytes of some numbers, where they lie. */
export const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
