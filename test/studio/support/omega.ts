import { join } from 'node:path';
import { seePicture } from '../../../src-main/models/conversant.ts';
import { openTextModel } from '../../../src-main/models/open.ts';
import { openPictureProcessor } from '../../../src-main/models/vision/preparation/open.ts';
import { VisionLanguageModel } from '../../../src-main/models/vision/vision-language.ts';
import { readAll } from '../../models/vision/support.ts';

/**
 * What the router of a random adapter at layer 0, q_proj makes of each token of a picture: softmax(router · rmsnorm(feature)), of the
 * files' numbers. Before the first attention a token knows itself alone.
 * @param more added to the norm's weight (1: Gemma)
 */
export async function omegaByHand(model: string, adapter: string, bytes: Uint8Array, more = 0): Promise<number[][]> {
  const file = await openTextModel(model);
  const whole = await VisionLanguageModel.load(file);
  const { features } = await seePicture({ name: 'p', bytes }, await openPictureProcessor(model), whole);
  whole.dispose();
  await file.close();
  const weights = await readAll(join(model, 'model.safetensors'));
  const [, norm] = [...weights].find(([name]) => /(^|\.)(?!vision)layers\.0\.input_layernorm\.weight$/.test(name))!;
  const router = (await readAll(join(adapter, 'adapter.safetensors'))).get('layers.0.q_proj.router')!;
  const [heads, width] = router.shape as [number, number];
  return Array.from({ length: features.length / width }, (_, token) => {
    const x = features.subarray(token * width, (token + 1) * width);
    const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / width + 1e-6);
    const seen = Array.from(x, (value, i) => value * scale * (norm.values[i]! + more));
    const powers = Array.from({ length: heads }, (_, head) =>
      Math.exp(seen.reduce((sum, value, i) => sum + value * router.values[head * width + i]!, 0)),
    );
    const all = powers.reduce((sum, power) => sum + power);
    return powers.map((power) => power / all);
  });
}

/** The largest difference of two routers' shares. */
export const gap = (one: number[][], other: number[][]): number =>
  Math.max(...one.flatMap((shares, i) => shares.map((share, head) => Math.abs(share - other[i]![head]!))));
