import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { checkpointShapes, writeCheckpoint } from '../../src-main/exports/diffusion/merged-checkpoint.ts';
import { loraPlaces } from '../../src-main/exports/diffusion/places.ts';
import { encodeKohyaLora } from '../../src-main/exports/diffusion/write-kohya.ts';
import type { UNetFile } from '../../src-main/models/diffusion/pipeline/file.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { openSingleFile } from '../../src-main/models/diffusion/single/open.ts';
import { writeSafetensors } from '../../src-main/models/safetensors-write.ts';
import { REAL, shapedNumbers, shapedPipeline } from '../models/diffusion/shaped.ts';
import { packagesOf, runPython } from '../support/python.ts';
import { randomPairs } from './diffusion-pairs.ts';

/**
 * stable-diffusion.cpp, which shares no line with diffusers, opens what is exported. It takes Stable Diffusion 1.5's widths for granted: two files of
 * 2 GB, of random numbers, in memory where files can lie there.
 */
const FILES_BYTES = 5e9;
const NEEDED_BYTES = FILES_BYTES + 3e9;

/** The first place with room for them. */
async function placeOfFiles(): Promise<string | undefined> {
  for (const place of ['/dev/shm', os.tmpdir()]) {
    const { bavail, bsize } = await fs.statfs(place).catch(() => ({ bavail: 0, bsize: 0 }));
    if (bavail * bsize >= FILES_BYTES) return place;
  }
  return undefined;
}

/** Why it can't run here; empty where it can. */
async function missing(): Promise<string> {
  if (os.freemem() < NEEDED_BYTES) return ': the machine has less than 8 GB of memory left';
  if (!(await placeOfFiles())) return `: ${os.tmpdir()} has less than 5 GB left`;
  return packagesOf('requirements-stable-diffusion-cpp.txt').then(
    () => '',
    (error: Error) => `: cyllama, which carries it, can't be installed (${error.message.trim().split('\n').at(-1)})`,
  );
}

const reason = await missing();
let folder: string;
const at = (name: string) => path.join(folder, name);
const silent = () => undefined;
beforeAll(
  async () => (folder = await fs.mkdtemp(path.join((await placeOfFiles()) ?? os.tmpdir(), 'stable-diffusion-cpp-'))),
);
afterAll(() => fs.rm(folder, { recursive: true }));

/** Most of a model has large weights that differ in nothing but their place from the smaller ones of a kind. */
const isSmall = ({ place: { inFeatures, outFeatures } }: ReturnType<typeof randomPairs>[number]) => inFeatures * outFeatures <= 2 ** 20; // prettier-ignore

/** The mean of the differences of two pictures' numbers from 0 to 255. */
const apart = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

it.skipIf(reason)(
  `stable-diffusion.cpp paints with a merged checkpoint what it paints with the LoRA${reason}`,
  async () => {
    await openEngine('tensorflow');
    await shapedPipeline('sd1', at('hollow'), { sizes: REAL, hollow: true });
    const tensors = checkpointShapes((await openDiffusionFolder(at('hollow'))) as UNetFile);
    const numbers = tensors.map(({ name, shape }) => ({
      ...{ name, shape, dtype: 'F16' as const },
      bytes: () => Promise.resolve(shapedNumbers(name, shape)),
    }));
    await writeSafetensors(at('base.safetensors'), numbers, { format: 'pt' }, silent);
    const base = (await openSingleFile(at('base.safetensors'))) as UNetFile;
    const places = loraPlaces(base);
    const pairs = randomPairs(places, false, 0.3).filter(isSmall);
    await fs.writeFile(at('lora.safetensors'), encodeKohyaLora(pairs, places, { name: 'lora', base }));
    await writeCheckpoint(at('merged.safetensors'), base, pairs, 'merged', silent);

    const jobs = [
      { checkpoint: at('base.safetensors'), loras: [null, at('lora.safetensors')] },
      { checkpoint: at('merged.safetensors'), loras: [null] },
    ];
    await fs.writeFile(at('jobs.json'), JSON.stringify(jobs));
    const script = path.join(import.meta.dirname, 'stable_diffusion_cpp.py');
    const told = await runPython(script, [at('jobs.json')], await packagesOf('requirements-stable-diffusion-cpp.txt'));
    const [[plain, adapted], [merged]] = JSON.parse(told) as [[number[], number[]], [number[]]];
    // Merged weights are rounded to halves.
    expect(apart(merged, adapted)).toBeLessThan(0.5);
    expect(apart(plain, adapted)).toBeGreaterThan(5);
  },
);
