import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { PAINTING_MODEL } from '../../src-main/models/default-model.ts';
import { jobs } from '../../src-main/studio/work/jobs.ts';
import { wholePipeline } from '../models/diffusion/support.ts';
import { temporary } from '../trainer/support.ts';

/** Numbers of the three parts' tensors, which are all of two bytes, by the bytes behind their headers. */
function numbersBelow(folder: string): number {
  const files = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /model\.safetensors$/.test(name)); // prettier-ignore
  return files.reduce((sum, name) => {
    const bytes = fs.readFileSync(path.join(folder, name));
    return sum + (bytes.length - 8 - Number(bytes.readBigUInt64LE(0))) / 2;
  }, 0);
}

it('a model that makes pictures is told by its family, its numbers and the size of its pictures', async () => {
  const folder = path.join(temporary('picture-models'), 'tiny');
  await wholePipeline('sd', folder);
  const { sample_size: latents } = JSON.parse(fs.readFileSync(path.join(folder, 'unet/config.json'), 'utf8')) as { sample_size: number }; // prettier-ignore
  const { block_out_channels: levels } = JSON.parse(fs.readFileSync(path.join(folder, 'vae/config.json'), 'utf8')) as { block_out_channels: number[] }; // prettier-ignore
  const summary = await jobs.inspectModel({ reference: folder });
  expect(summary).toMatchObject({
    ...{ name: 'tiny', format: 'diffusers folder', parameters: numbersBelow(folder) },
    pictures: { family: 'built like Stable Diffusion', side: latents * 2 ** (levels.length - 1) },
  });
  expect(summary.shape).toBeUndefined();
});

it('the one that comes with the studio is what the catalog says of it, in 31 MB at most', async () => {
  const { models } = JSON.parse(fs.readFileSync(path.join(PAINTING_MODEL.folder, '../models.json'), 'utf8')) as { models: { reference?: string; parameters: number; bytes: number; pictures?: object }[] }; // prettier-ignore
  const said = models.find(({ reference }) => reference === PAINTING_MODEL.name)!;
  const { name, parameters, bytes, pictures } = await jobs.inspectModel({ reference: PAINTING_MODEL.name });
  // By which messages call it, wherever its folder lies.
  expect(name).toBe('emoji-64');
  expect(Math.abs(parameters! / said.parameters - 1)).toBeLessThan(0.01);
  expect(Math.abs(bytes / said.bytes - 1)).toBeLessThan(0.02);
  expect(pictures).toEqual({ ...said.pictures, parameters });
  const files = fs.readdirSync(PAINTING_MODEL.folder, { recursive: true, encoding: 'utf8' });
  const all = files.map((name) => fs.statSync(path.join(PAINTING_MODEL.folder, name)));
  expect(all.reduce((sum, one) => sum + (one.isFile() ? one.size : 0), 0)).toBeLessThan(31e6);
});
