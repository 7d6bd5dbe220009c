import { expect, it } from 'vitest';
import { unetConfig } from '../../src-main/models/diffusion/unet/config.ts';
import { vaeConfig } from '../../src-main/models/diffusion/vae/config.ts';
import { unetCost, vaeCost } from '../../src-main/tasks/diffusion/pass-cost.ts';

const NONE = { attention: false, feedForward: false };

it('counts a pass of Stable Diffusion 1.5 as it is published: 402 GMAC at 512 pixels', () => {
  const config = unetConfig({ _class_name: 'UNet2DConditionModel', cross_attention_dim: 768 }, 'config.json');
  const { macs, kept, keptAgain } = unetCost(config, { width: 64, height: 64 }, 77, NONE);
  // Published counts leave attention's own products out or in, which are some 5 % here.
  expect(macs / 402e9).toBeGreaterThan(0.97);
  expect(macs / 402e9).toBeLessThan(1.07);
  expect(keptAgain).toBeLessThan(kept);
  const twice = unetCost(config, { width: 128, height: 64 }, 77, NONE);
  // Convolutions by the pixels, attention of all to all by their square.
  expect(twice.macs).toBeGreaterThan(2 * macs);
  expect(twice.macs).toBeLessThan(2.4 * macs);
});

it('counts both halves of its autoencoder: decoding takes about twice what encoding does', () => {
  const four = { block_out_channels: [128, 256, 512, 512], layers_per_block: 2 };
  const types = {
    down_block_types: Array(4).fill('DownEncoderBlock2D'),
    up_block_types: Array(4).fill('UpDecoderBlock2D'),
  };
  const config = vaeConfig({ _class_name: 'AutoencoderKL', ...four, ...types }, 'config.json');
  const size = { width: 512, height: 512 };
  const [encode, decode] = [vaeCost(config, size, 'encode'), vaeCost(config, size, 'decode')];
  expect(decode.macs).toBeGreaterThan(1.6 * encode.macs);
  // Of one level of 4 channels on 8 x 8 pixels by hand: the first convolution, a residual block, two in the middle, the last convolution.
  const small = vaeConfig({ _class_name: 'AutoencoderKL', block_out_channels: [4], layers_per_block: 1, norm_num_groups: 2, mid_block_add_attention: false, ...{ down_block_types: ['DownEncoderBlock2D'], up_block_types: ['UpDecoderBlock2D'] } }, 'config.json'); // prettier-ignore
  expect(vaeCost(small, { width: 8, height: 8 }, 'encode').macs).toBe(64 * 9 * (3 * 4 + 2 * 16 + 4 * 16 + 4 * 8));
});
