import crypto from 'node:crypto';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodePicture } from '../../../src-main/models/vision/pictures/decode.ts';
import { openPictureProcessor } from '../../../src-main/models/vision/preparation/open.ts';
import type { PreparedPicture } from '../../../src-main/models/vision/preparation/options.ts';
import { patchRows } from '../../../src-main/models/vision/preparation/patches.ts';
import {
  pictureText,
  withPictures,
  type Placeholder,
} from '../../../src-main/models/vision/preparation/placeholders.ts';
import { preparePicture } from '../../../src-main/models/vision/preparation/prepare.ts';
import { pictureOptions } from '../../../src-main/models/vision/preparation/processor-file.ts';
import { gridSize, tiledSizes } from '../../../src-main/models/vision/preparation/sizes.ts';

/** What transformers' processors make of the pictures (data/vision/make_preparations.py). */
const data = path.join(import.meta.dirname, '../data/vision');
const { configs, cases, sizes } = JSON.parse(fs.readFileSync(path.join(data, 'preparations.json'), 'utf8')) as {
  configs: Record<string, Record<string, unknown>>;
  cases: { config: string; picture: string; pixels: Described; text: string }[];
  sizes: Record<'smolvlm' | 'qwen', number[][]>;
};

interface Described {
  shape: number[];
  sha256: string;
  places: number[];
  values: number[];
}

const optionsOf = (config: string) => pictureOptions(configs[config], 'preprocessor_config.json').options;
const sha256 = (bytes: Uint8Array | string) => crypto.createHash('sha256').update(bytes).digest('hex');

async function prepared(name: string, config: string): Promise<PreparedPicture> {
  const bytes = fs.readFileSync(path.join(data, 'pictures', name));
  return preparePicture(await decodePicture(bytes, name), optionsOf(config), name);
}

/** Values as transformers lays them: patches for Qwen, else [tiles, 3, height, width], which is patches of one pixel turned. */
function pixelValues(picture: PreparedPicture, config: string): { shape: number[]; values: Float32Array } {
  const options = optionsOf(config);
  if (options.kind === 'grid') {
    const values = patchRows(picture, options, options.normalization);
    const width = 3 * options.frames * options.patch ** 2;
    return { shape: [values.length / width, width], values };
  }
  const rows = patchRows(picture, { patch: 1, frames: 1, merge: 1 }, options.normalization);
  const { tiles, height, width } = picture;
  const pixels = height * width;
  const values = rows.map((_, i) => {
    const [tile, channel, pixel] = [Math.floor(i / (3 * pixels)), Math.floor(i / pixels) % 3, i % pixels];
    return rows[(tile * pixels + pixel) * 3 + channel]!;
  });
  return { shape: [tiles, 3, height, width], values };
}

const TEXTS: Record<string, Placeholder> = {
  idefics3: {
    kind: 'idefics3',
    image: '<image>',
    around: '<fake_token_around_image>',
    global: '<global-img>',
    perTile: 3,
  },
  llava: { kind: 'llava', image: '<image>', patch: 7, further: 1, dropped: 1 },
  gemma3: {
    kind: 'gemma3',
    image: '<image_soft_token>',
    begin: '<start_of_image>',
    end: '<end_of_image>',
    perPicture: 5,
  },
};

function placeholderOf(config: string): Placeholder {
  const options = optionsOf(config);
  if (options.kind === 'grid')
    return { kind: 'qwen', image: '<|image_pad|>', patch: options.patch, merge: options.merge };
  return TEXTS[config === 'smolvlm' ? 'idefics3' : config.split('-')[0]!]!;
}

it.each(cases)(
  '$config prepares $picture as transformers does, to the bit',
  async ({ config, picture, pixels, text }) => {
    const ours = await prepared(picture, config);
    const { shape, values } = pixelValues(ours, config);
    expect(shape).toEqual(pixels.shape);
    expect(pixels.places.map((place) => values[place])).toEqual(pixels.values);
    expect(sha256(new Uint8Array(values.buffer))).toBe(pixels.sha256);
    const written = pictureText(placeholderOf(config), ours);
    expect(text.length === 64 ? sha256(written) : written).toBe(text);
  },
);

describe('sizes are those of transformers for every shape', () => {
  it('in tiles of 512', () => {
    const options = optionsOf('smolvlm');
    if (options.kind !== 'tiles') throw new Error('SmolVLM is tiled');
    for (const [width, height, ...expected] of sizes.smolvlm) {
      const { first, whole } = tiledSizes({ width: width!, height: height! }, options);
      expect([first.width, first.height, whole.width, whole.height], `${width} x ${height}`).toEqual(expected);
    }
  });

  it('in merged patches of 28', () => {
    const options = optionsOf('qwen');
    if (options.kind !== 'grid') throw new Error('Qwen is a grid');
    for (const [width, height, ...expected] of sizes.qwen) {
      const ours = () => Object.values(gridSize({ width: width!, height: height! }, options, 'picture'));
      if (expected.length) expect(ours(), `${width} x ${height}`).toEqual(expected);
      else expect(ours, `${width} x ${height}`).toThrow('200 times');
    }
  });
});

it('puts each picture where its mark stands, and counts them', async () => {
  const [one, two] = [await prepared('plain.png', 'llava-small'), await prepared('gray.png', 'llava-small')];
  const { llava } = TEXTS as { llava: Placeholder };
  const tokens = '<image>'.repeat(16);
  expect(withPictures('a<image>b <image>', llava, [one, two])).toBe(`a${tokens}b ${tokens}`);
  expect(() => withPictures('a<image>', llava, [one, two])).toThrow('1 of <image> for 2 pictures');
});

describe('a processor file', () => {
  const refused: [what: string, config: string, change: Record<string, unknown>, named: string][] = [
    ['a class that is not known', 'llava', { image_processor_type: 'MllamaImageProcessor' }, '"MllamaImageProcessor"'],
    ['a field that is not known', 'smolvlm', { do_sharpen: true }, '"do_sharpen"'],
    ['another filter', 'gemma3', { resample: 4 }, '"resample"'],
    ['crops for zooming in', 'gemma3', { do_pan_and_scan: true }, '"do_pan_and_scan"'],
    ['no resizing', 'qwen', { do_resize: false }, '"do_resize"'],
    ['squares by padding', 'llava', { image_processor_type: 'LlavaImageProcessor', do_pad: true }, '"do_pad"'],
    ['a crop that is too large', 'llava', { crop_size: { height: 337, width: 337 } }, '"crop_size"'],
    ['a size without end', 'gemma3', { size: { height: 1e9, width: 28 } }, '"size.height"'],
    ['a deviation of 0', 'gemma3', { image_std: [0.5, 0, 0.5] }, '"image_std"'],
    ['values for one channel', 'gemma3', { image_mean: [0.5] }, '"image_mean"'],
  ];
  it.each(refused)('with %s is refused by name', (_, config, change, named) => {
    const read = () => pictureOptions({ ...configs[config], ...change }, 'here/preprocessor_config.json');
    expect(read).toThrow('here/preprocessor_config.json: ');
    expect(read).toThrow(named);
    expect(read).toThrow(expect.objectContaining({ name: 'UserError' }));
  });

  it('is read in the old form, and in the one of transformers 5, with what the texts need', async () => {
    const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'processor-'));
    const write = (name: string, json: unknown) => fsp.writeFile(path.join(folder, name), JSON.stringify(json));
    await expect(openPictureProcessor(folder)).rejects.toThrow('preprocessor_config.json');
    await write('preprocessor_config.json', { ...configs['llava'], size: 336, crop_size: 336, resample: null });
    await expect(openPictureProcessor(folder)).rejects.toThrow('patch_size');
    await write('processor_config.json', { patch_size: 14, vision_feature_select_strategy: 'default', num_additional_image_tokens: 1 }); // prettier-ignore
    const { options, placeholder } = await openPictureProcessor(folder);
    expect(options).toEqual(optionsOf('llava'));
    expect(placeholder).toEqual({ kind: 'llava', image: '<image>', patch: 14, further: 1, dropped: 1 });
    await write('processor_config.json', { image_seq_len: 64, image_processor: { ...configs['smolvlm'], image_processor_type: 'SmolVLMImageProcessorFast' } }); // prettier-ignore
    const smolvlm = await openPictureProcessor(folder);
    expect(smolvlm.options).toEqual(optionsOf('smolvlm'));
    expect(smolvlm.placeholder).toMatchObject({ kind: 'idefics3', perTile: 64 });
    await fsp.rm(folder, { recursive: true });
  });
});
