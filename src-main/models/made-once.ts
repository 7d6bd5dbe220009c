import crypto from 'node:crypto';
import os from 'node:os';
import { keptFolder, KeptFiles } from '../engine/kept-files.ts';
import { fileStamp } from './identity.ts';

type Ingredients = (string | Uint8Array)[];

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
  async take(of: Ingredients, make: () => Promise<Float32Array>): Promise<Float32Array> {
    const [made] = await this.takeAll([of], async () => [await make()]);
    return made!;
  }

  /**
   * Of several things at once.
   * @param of of each everything that it is made of
   * @param make those that are not there, each once, by their places in `of`
   */
  async takeAll(of: Ingredients[], make: (missing: number[]) => Promise<Float32Array[]>): Promise<Float32Array[]> {
    const names = of.map((each) => this.nameOf(each));
    const found = new Map<string, Float32Array>();
    for (const name of new Set(names)) {
      const known = await this.files.read(name);
      if (known) found.set(name, new Float32Array(known.buffer));
    }
    const missing = [...new Set(names)].filter((name) => !found.has(name));
    const made = missing.length > 0 ? await make(missing.map((name) => names.indexOf(name))) : [];
    for (const [i, name] of missing.entries()) {
      found.set(name, made[i]!);
      await this.files.write(name, bytesOf(made[i]!));
    }
    return names.map((name) => found.get(name)!);
  }

  private nameOf(of: Ingredients): string {
    const hash = crypto.createHash('sha256').update(`${this.by}\n`);
    for (const part of of) hash.update(part);
    return hash.digest('hex');
  }
}

/** The bytes of some numbers, where they lie. */
export const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
