import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loraPlaces, type LoraPlaces } from '../../src-main/exports/diffusion/places.ts';
import { readDiffusionLora } from '../../src-main/exports/diffusion/read-lora.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { textConfig } from '../../src-main/models/diffusion/text/config.ts';
import { unetConfig } from '../../src-main/models/diffusion/unet/config.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import { wholePipeline } from '../models/diffusion/support.ts';

/** What is refused of LoRA files of diffusion models, and by what names they know a model's linears. */
let folder: string;
let places: LoraPlaces;

beforeAll(async () => {
  folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'diffusion-lora-'));
  await wholePipeline('sd', path.join(folder, 'sd'));
  places = loraPlaces(await openDiffusionFolder(path.join(folder, 'sd')));
});
afterAll(() => fsp.rm(folder, { recursive: true }));

describe('a file', () => {
  type Tensor = [name: string, shape: number[], value?: number];
  const QUERY = 'down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q';
  const KOHYA = `lora_unet_${QUERY.replaceAll('.', '_')}`;
  const whole: Tensor[] = [
    [`${KOHYA}.alpha`, [], 1],
    [`${KOHYA}.lora_down.weight`, [2, 4]],
    [`${KOHYA}.lora_up.weight`, [4, 2]],
  ];
  const written = async (tensors: Tensor[], metadata: Record<string, string> = {}) => {
    const file = path.join(folder, 'other.safetensors');
    const all = tensors.map(([name, shape, value = 0.5]) => ({
      ...{ name, dtype: 'F32' as const, shape },
      data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value),
    }));
    await fsp.writeFile(file, encodeSafetensors(all, metadata));
    return file;
  };

  it.each<[string, Tensor[], RegExp]>([
    ['a linear that the model has not', [...whole, ['lora_unet_down_blocks_7_attentions_0_proj_in.alpha', []]], /"lora_unet_down_blocks_7_attentions_0_proj_in.alpha", which is no linear of this model/], // prettier-ignore
    ['a convolution in two', [...whole, ['lora_unet_down_blocks_0_resnets_0_conv1.lora_mid.weight', [2, 2, 3, 3]]], /lora_mid.*of convolutions.*only those of residual blocks/], // prettier-ignore
    [
      'a linear as a larger convolution',
      [whole[0]!, [`${KOHYA}.lora_down.weight`, [2, 4, 3, 3]], whole[2]!],
      /lora_down.weight is \[2, 4, 3, 3\] where the model needs \[2, 4\]/,
    ],
    ['a convolution as a linear', [...whole, ['lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight', [2, 36]], ['lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight', [4, 2]]], /is \[2, 36\] where the model needs \[2, 4, 3, 3\]/], // prettier-ignore
    ['LoKr', [[`${KOHYA}.lokr_w1`, [2, 2]]], /lokr_w1", which belongs to a LoHa, LoKr/],
    ['LoHa', [[`${KOHYA}.hada_w1_a`, [2, 2]]], /hada_w1_a", which belongs to a LoHa, LoKr/],
    ['whole weights', [...whole, [`${KOHYA}.diff`, [4, 4]]], /diff", which is no part of a LoRA/],
    ['SDXL', [...whole, ['lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha', []]], /it was made for SDXL/],
    ['FLUX', [['transformer.transformer_blocks.0.attn.to_q.lora_A.weight', [2, 4]]], /a transformer in the UNet's place/], // prettier-ignore
    ['half a pair', whole.slice(0, 2), /lacks the second matrix of lora_unet_down_blocks_1/],
    ['another width', [whole[0]!, [`${KOHYA}.lora_down.weight`, [2, 8]], whole[2]!], /is \[2, 8\] where the model needs \[2, 4\]/], // prettier-ignore
    ['ranks that differ', [whole[0]!, whole[1]!, [`${KOHYA}.lora_up.weight`, [4, 3]]], /is \[4, 3\] where the model needs \[4, 2\]/], // prettier-ignore
    ['no numbers', [whole[0]!, whole[1]!, [`${KOHYA}.lora_up.weight`, [4, 2], NaN]], /lora_up.weight holds values that are no numbers/], // prettier-ignore
    ['an alpha of several', [[`${KOHYA}.alpha`, [2]], ...whole.slice(1)], /alpha is no single number/],
    ['one linear twice', [...whole, [`unet.${QUERY}.lora_A.weight`, [2, 4]]], /two LoRAs of one linear/],
    ['DoRA over inputs', [...whole, [`${KOHYA}.dora_scale`, [1, 4]]], /a DoRA over inputs instead of outputs/],
    ['DoRA of some', [...whole, [`${KOHYA}.dora_scale`, [4, 1]], ...whole.map(([name, shape]): Tensor => [name.replace('to_q', 'to_k'), shape])], /a DoRA magnitude at some linears and none for unet.*to_k/], // prettier-ignore
    ['nothing', [], /adapts no linear of this model/],
  ])('of %s is refused by name', async (_, tensors, why) => {
    await expect(readDiffusionLora(await written(tensors), places)).rejects.toThrow(why);
  });

  it('without alpha is taken as other programs take it, and says so', async () => {
    const { pairs, notes } = await readDiffusionLora(await written(whole.slice(1)), places);
    expect(pairs.map(({ rank, alpha }) => [rank, alpha])).toEqual([[2, 2]]);
    expect(notes).toEqual(['The file says no alpha for its linears: it is taken for the rank, a scale of 1, as other programs do.']); // prettier-ignore
  });

  it('whose header promises more than it holds is refused', async () => {
    const pair = (['A', 'B'] as const).map((part): Tensor => [`unet.${QUERY}.lora_${part}.weight`, part === 'A' ? [2, 4] : [4, 2]]); // prettier-ignore
    const read = async (config: object) => {
      const said = Object.fromEntries(Object.entries({ r: 2, lora_alpha: 3, ...config }).map(([name, value]) => [`unet.${name}`, value as unknown])); // prettier-ignore
      return readDiffusionLora(await written(pair, { lora_adapter_metadata: JSON.stringify(said) }), places);
    };
    expect((await read({})).pairs.map(({ alpha }) => alpha)).toEqual([3]);
    await expect(read({ r: 4 })).rejects.toThrow(/has the rank 2, and the file's header gives it 4/);
    await expect(read({ use_dora: true })).rejects.toThrow(/lacks the DoRA magnitude of unet.down_blocks.1/);
    await expect(read({ lora_bias: true })).rejects.toThrow(/sets lora_bias/);
  });

  it('that is a pickle is not opened', async () => {
    await expect(readDiffusionLora('somewhere/lora.pt', places)).rejects.toThrow(/a pickle/);
  });
});

const XL = {
  ...{ block_out_channels: [320, 640, 1280], cross_attention_dim: 2048, attention_head_dim: [5, 10, 20] },
  ...{ transformer_layers_per_block: [1, 2, 10], use_linear_projection: true },
  ...{ down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'] },
  ...{ up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'] },
};

// What kohya's scripts count as they begin: "create LoRA for U-Net: 788 modules." where 3 x 3 convolutions are among them, "for Text Encoder 1: 72 modules.", …
it.each<[string, 'sd' | 'sdxl', object, number[], number[], string[]]>([
  ['Stable Diffusion 1.5', 'sd', {}, [12], [278, 72], ['down_blocks_0_attentions_0_proj_in', 'down_blocks_0_resnets_0_conv1', 'up_blocks_0_upsamplers_0_conv', 'mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj', 'up_blocks_3_attentions_2_transformer_blocks_0_attn2_to_out_0']], // prettier-ignore
  ['Stable Diffusion XL', 'sdxl', XL, [12, 32], [788, 72, 192], ['input_blocks_4_1_proj_in', 'input_blocks_4_0_in_layers_2', 'input_blocks_3_0_op', 'output_blocks_0_0_emb_layers_1', 'output_blocks_2_2_conv', 'output_blocks_0_0_skip_connection', 'middle_block_1_transformer_blocks_9_ff_net_0_proj', 'output_blocks_5_1_transformer_blocks_1_attn2_to_out_0']], // prettier-ignore
])('kohya knows as many linears of %s, by these names', (_, kind, json, layers, counts, names) => {
  const texts = layers.map((num_hidden_layers, i) => ({
    group: i === 0 ? ('text' as const) : ('text_2' as const),
    config: textConfig({ num_hidden_layers }, 'here'),
    tokenizer: undefined as never,
  }));
  const { adapted, idle } = loraPlaces({ kind, unet: unetConfig(json, 'here'), texts, tensors: {} });
  const all = [...adapted, ...idle];
  expect(['unet', 'text', 'text_2'].map((part) => all.filter(({ group }) => group === part).length).filter(Boolean)).toEqual(counts); // prettier-ignore
  const unique = new Set(all.map(({ kohya }) => kohya));
  expect(unique.size).toBe(all.length);
  const text = 'text_model_encoder_layers_11_self_attn_out_proj';
  const texted = kind === 'sd' ? [`lora_te_${text}`] : [`lora_te1_${text}`, `lora_te2_${text}`];
  for (const name of [...names.map((each) => `lora_unet_${each}`), ...texted]) expect(unique).toContain(name);
});
