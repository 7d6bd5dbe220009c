import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { PackedMatrix } from '../../../src-main/engine/packed.ts';
import { UNet } from '../../../src-main/models/diffusion/unet/unet.ts';
import { asTensors } from '../../../src-main/models/feeds.ts';
import { openGpuConfiguration } from '../../support/gpu-configuration.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { adapterOf, gradients, inFileForm, predict } from './networks.ts';
import { channelsLast } from './support.ts';
import { data, feedsOf, OPTIONS } from './unet-cases.ts';

beforeAll(async () => void (await openGpuConfiguration()));

it.each(['sd1', 'sd2'])(
  '%s lies on a GPU in half precision, filters and all, and has diffusers’ numbers',
  async (kind) => {
    const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
    const model = await UNet.load(path.join(data, kind), 'auto');
    const packed = [...model.tensors].filter(([, tensor]) => tensor instanceof PackedMatrix).map(([name]) => name);
    const matrices = model
      .sites()
      .filter(({ kernel = 1, inFeatures }) => kernel === 1 || inFeatures / kernel ** 2 >= 16);
    expect(packed.sort()).toEqual(matrices.map((site) => `${site.path}.weight`).sort());
    expect(matrices.some(({ kernel }) => kernel === 3)).toBe(true);
    const { adapter } = adapterOf(model, OPTIONS, expected);
    const inputs = asTensors(feedsOf(model, expected));
    const pass = { adaptation: adapter };
    const out = predict(model, inputs, pass);
    expect(largestDifference(await out.data(), channelsLast(expected.get('adapted:out')!).values)).toBeLessThan(1e-4);
    const [dx] = gradients(model, inputs, [], pass);
    const ofFile = tf.tidy(() => inFileForm('sample', dx!, OPTIONS));
    const theirs = channelsLast(expected.get('adapted:gradient:sample')!).values;
    expect(largestDifference(await ofFile.data(), theirs)).toBeLessThan(1e-3);
  },
);
