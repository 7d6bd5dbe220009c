import fs from 'node:fs/promises';
import path from 'node:path';
import { uniform } from '../../../src-main/effilora/random.ts';
import { clipMerges } from '../../../src-main/models/clip-merges.ts';
import { shapesOf, type DiffusionLoader } from '../../../src-main/models/diffusion/loader.ts';
import { textConfig } from '../../../src-main/models/diffusion/text/config.ts';
import { loadTextEncoder } from '../../../src-main/models/diffusion/text/weights.ts';
import { unetConfig } from '../../../src-main/models/diffusion/unet/config.ts';
import { unetLayout } from '../../../src-main/models/diffusion/unet/layout.ts';
import { loadUNet } from '../../../src-main/models/diffusion/unet/weights.ts';
import { vaeConfig } from '../../../src-main/models/diffusion/vae/config.ts';
import { loadVae } from '../../../src-main/models/diffusion/vae/vae.ts';
import { quantize } from '../../../src-main/models/gguf/quantize.ts';
import { writeSafetensors } from '../../../src-main/models/safetensors-write.ts';
import { mergesOf, vocabularyOf } from '../../../src-main/models/tokenizer/clip.ts';

export const SHAPED = ['sd1', 'sd2', 'sdxl'] as const;
export type Shaped = (typeof SHAPED)[number];

/** Widths and depths of a pipeline. */
interface Sizes {
  /** of the UNet's levels, and which of them attend to the text */
  channels: number[];
  attends: boolean[];
  layers: number;
  vae: number[];
  vaeLayers: number;
  text: { width: number; inner: number; layers: number };
}

const SMALL: Sizes = {
  ...{ channels: [32, 64], attends: [false, true], layers: 1, vae: [32, 32], vaeLayers: 1 },
  text: { width: 64, inner: 96, layers: 2 },
};
/** Stable Diffusion 1.5's own, but for an autoencoder of a quarter of the width: for programs that take them for granted. 2 GB. */
export const REAL: Sizes = {
  ...{ channels: [320, 640, 1280, 1280], attends: [true, true, true, false], layers: 2 },
  ...{ vae: [32, 64, 128, 128], vaeLayers: 2, text: { width: 768, inner: 3072, layers: 12 } },
};
/** Of XL's second text encoder: programs tell the two by their widths. */
const SECOND_WIDTH = 128;
/** So many numbers are drawn of a tensor, a prime; what is larger repeats them. */
const MOST_DRAWN = 1_048_573;
/** Linears that lie as convolutions of 1 x 1. */
const CONVOLVES = /(conv_shortcut|quant_conv)\.weight$/;

/**
 * Writes a diffusers folder of random numbers that is as Stable Diffusion 1, 2 and XL are in all that a checkpoint in one file doesn't say: groups, heads,
 * activations, CLIP's own words. Only its widths and depths are small, which a file's shapes tell, unless the real ones are asked for.
 * @param hollow the files of weights have their tensors' names, and nothing behind them
 */
export async function shapedPipeline(
  kind: Shaped,
  folder: string,
  { sizes = SMALL, hollow = false } = {},
): Promise<void> {
  const isXl = kind === 'sdxl';
  const isFirst = kind === 'sd1';
  const write = async (name: string, value: object) => {
    await fs.mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await fs.writeFile(path.join(folder, name), JSON.stringify(value));
  };
  const part = async (name: string, config: object, load: (loader: DiffusionLoader) => Promise<unknown>) => {
    await write(`${name}/config.json`, config);
    const isText = name.startsWith('text');
    const tensors = [...(await shapesOf(load))].map(([tensor, shape]) => ({
      ...{ name: tensor, dtype: 'F16' as const },
      shape: CONVOLVES.test(tensor) || (isFirst && /proj_(in|out)\.weight$/.test(tensor)) ? [...shape, 1, 1] : shape,
      bytes: () => Promise.resolve(hollow ? new Uint8Array(0) : shapedNumbers(`${name} ${tensor}`, shape)),
    }));
    const file = path.join(folder, name, `${isText ? 'model' : 'diffusion_pytorch_model'}.safetensors`);
    await writeSafetensors(file, tensors, { format: 'pt' }, () => undefined);
    const size = tensors.reduce((sum, { shape }) => sum + 2 * shape.reduce((product, side) => product * side, 1), 0);
    if (hollow) await fs.truncate(file, (await fs.stat(file)).size + size);
  };

  const unet = {
    ...{ _class_name: 'UNet2DConditionModel', block_out_channels: sizes.channels, layers_per_block: sizes.layers },
    down_block_types: sizes.attends.map((attends) => (attends ? 'CrossAttnDownBlock2D' : 'DownBlock2D')),
    up_block_types: sizes.attends.toReversed().map((attends) => (attends ? 'CrossAttnUpBlock2D' : 'UpBlock2D')),
    ...{ cross_attention_dim: sizes.text.width + (isXl ? SECOND_WIDTH : 0), attention_head_dim: isFirst ? 8 : [1, 1] },
    sample_size: 8,
    ...{ use_linear_projection: !isFirst, transformer_layers_per_block: isXl ? [1, 2] : 1 },
    ...(isXl && { addition_embed_type: 'text_time', addition_time_embed_dim: 8, projection_class_embeddings_input_dim: SECOND_WIDTH + 48 }), // prettier-ignore
  };
  const network = unetConfig(unet, 'unet');
  await part('unet', unet, (loader) => loadUNet(network, unetLayout(network), loader));
  const vae = {
    ...{ _class_name: 'AutoencoderKL', block_out_channels: sizes.vae, scaling_factor: isXl ? 0.13025 : 0.18215 },
    down_block_types: sizes.vae.map(() => 'DownEncoderBlock2D'),
    up_block_types: sizes.vae.map(() => 'UpDecoderBlock2D'),
    layers_per_block: sizes.vaeLayers,
  };
  await part('vae', vae, (loader) => loadVae(vaeConfig(vae, 'vae'), loader));
  const text = async (name: string, isOpen: boolean) => {
    const width = name.endsWith('2') ? SECOND_WIDTH : sizes.text.width;
    const config = {
      ...{ model_type: 'clip_text_model', vocab_size: 49408, hidden_size: width, intermediate_size: sizes.text.inner },
      ...{ architectures: [name.endsWith('2') ? 'CLIPTextModelWithProjection' : 'CLIPTextModel'] },
      ...{
        num_hidden_layers: sizes.text.layers,
        num_attention_heads: width / 64,
        projection_dim: width,
        eos_token_id: 49407,
      },
      ...{ hidden_act: isOpen ? 'gelu' : 'quick_gelu', max_position_embeddings: 77 },
    };
    await part(name, config, (loader) => loadTextEncoder(textConfig(config, name), name.endsWith('2') ? 'text_2' : 'text', loader)); // prettier-ignore
    const tokenizer = name.replace('text_encoder', 'tokenizer');
    const [start, end] = ['<|startoftext|>', '<|endoftext|>'];
    const merges = mergesOf(await clipMerges());
    await write(`${tokenizer}/vocab.json`, vocabularyOf(merges, [start, end]));
    await fs.writeFile(path.join(folder, tokenizer, 'merges.txt'), `#version: 0.2\n${merges.join('\n')}\n`);
    const own = { bos_token: start, eos_token: end, unk_token: end, pad_token: isOpen ? '!' : end };
    await write(`${tokenizer}/tokenizer_config.json`, { tokenizer_class: 'CLIPTokenizer', model_max_length: 77, ...own }); // prettier-ignore
  };
  await text('text_encoder', kind === 'sd2');
  if (isXl) await text('text_encoder_2', true);
  await write('scheduler/scheduler_config.json', {
    ...{ _class_name: 'DDIMScheduler', beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 },
    ...{ clip_sample: false, set_alpha_to_one: false, steps_offset: 1, num_train_timesteps: 1000 },
    prediction_type: kind === 'sd2' ? 'v_prediction' : 'epsilon',
  });
  const clip = (projecting: boolean) => ['transformers', `CLIPTextModel${projecting ? 'WithProjection' : ''}`];
  await write('model_index.json', {
    ...{ _class_name: isXl ? 'StableDiffusionXLPipeline' : 'StableDiffusionPipeline', _diffusers_version: '0.42.0' },
    ...{ unet: ['diffusers', 'UNet2DConditionModel'], vae: ['diffusers', 'AutoencoderKL'] },
    ...{ scheduler: ['diffusers', 'DDIMScheduler'], text_encoder: clip(false), tokenizer: ['transformers', 'CLIPTokenizer'] }, // prettier-ignore
    ...{ feature_extractor: [null, null], image_encoder: [null, null] },
    ...(isXl
      ? { text_encoder_2: clip(true), tokenizer_2: ['transformers', 'CLIPTokenizer'] }
      : { safety_checker: [null, null], requires_safety_checker: false }),
  });
}

/** Norms about one, biases about nothing, weights so large that what goes through stays about as large; f16. */
export function shapedNumbers(name: string, shape: number[]): Uint8Array {
  const size = shape.reduce((product, side) => product * side, 1);
  const isVector = shape.length === 1;
  const middle = isVector && name.endsWith('.weight') ? 1 : 0;
  const bound = isVector ? 0.1 : Math.sqrt(3 / (size / shape[0]!));
  const drawn = quantize(uniform(5, name, Math.min(size, MOST_DRAWN), middle - bound, middle + bound), 'f16');
  return Buffer.alloc(2 * size, drawn);
}
