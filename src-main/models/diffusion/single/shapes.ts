import { UserError } from '../../../engine/types.ts';
import { SIZES_BESIDE_TEXT } from '../pipeline/fit.ts';
import type { TextConfig } from '../text/config.ts';
import type { LevelConfig, UNetConfig } from '../unet/config.ts';
import type { VaeConfig } from '../vae/config.ts';
import type { Header } from './file.ts';

/** What no tensor's shape tells, as all of Stable Diffusion 1, 2 and XL have it. */
const GROUPS = 32;
const EPSILON = 1e-5;
const HEAD_SIZE = 64;
/** Of Stable Diffusion 1, whose projections are convolutions. */
const FIRST_HEADS = 8;

/** Reads sizes off a file's shapes. */
export class Shapes {
  constructor(
    private readonly header: Header,
    private readonly file: string,
    private readonly prefix: string,
  ) {}

  has(name: string): boolean {
    return this.header.has(this.prefix + name);
  }

  /** @throws UserError where the tensor is missing */
  of(name: string): number[] {
    const entry = this.header.get(this.prefix + name);
    if (entry) return entry.shape;
    throw new UserError(`${this.file} holds no "${this.prefix}${name}"; is it a whole model of Stable Diffusion 1, 2 or XL?`); // prettier-ignore
  }

  /** How many of a numbered list there are, from 0 on. */
  count(name: (i: number) => string): number {
    let i = 0;
    while (this.has(name(i))) i++;
    return i;
  }
}

/**
 * A UNet's configuration by its shapes.
 * @param pooled features of a whole text where the UNet is told of them
 * @throws UserError
 */
export function unetOfShapes(shapes: Shapes, pooled = 0): UNetConfig {
  const [, inChannels] = shapes.of('input_blocks.0.0.weight');
  const levelOf = (side: 'input' | 'output', blocks: number[]): LevelConfig => {
    const last = `${side}_blocks.${blocks.at(-1)}`;
    const channels = shapes.of(`${last}.0.out_layers.3.weight`)[0]!;
    return { channels, layers: blocks.length, ...attentionOf(shapes, `${last}.1`, channels) };
  };
  const down = levels(shapes, 'input', (i) => shapes.has(`input_blocks.${i}.0.op.weight`)).map(({ blocks }) => levelOf('input', blocks)); // prettier-ignore
  const up = levels(shapes, 'output', (i) => [1, 2].some((at) => shapes.has(`output_blocks.${i}.${at}.conv.weight`))).map(({ blocks }) => ({ ...levelOf('output', blocks), layers: blocks.length - 1 })); // prettier-ignore
  const center = shapes.of('middle_block.0.out_layers.3.weight')[0]!;
  const contextWidth = shapes.of('middle_block.1.transformer_blocks.0.attn2.to_k.weight')[1]!;
  const added = shapes.has('label_emb.0.0.weight') ? shapes.of('label_emb.0.0.weight')[1]! : undefined;
  return {
    ...{ inChannels: inChannels!, outChannels: shapes.of('out.2.weight')[0]!, groups: GROUPS, epsilon: EPSILON },
    ...{ down, middle: { channels: center, ...attentionOf(shapes, 'middle_block.1', center) }, up, contextWidth },
    time: { cosineFirst: true, shift: 0 },
    added: added === undefined ? undefined : { timeWidth: (added - pooled) / SIZES_BESIDE_TEXT, inFeatures: added },
    sampleSize: added === undefined ? 64 : 128,
  };
}

function attentionOf(shapes: Shapes, name: string, channels: number): Pick<LevelConfig, 'heads' | 'depth'> {
  const depth = shapes.count((i) => `${name}.transformer_blocks.${i}.attn1.to_q.weight`);
  const isFirst = shapes.of('middle_block.1.proj_in.weight').length === 4;
  return { depth, heads: isFirst ? FIRST_HEADS : Math.max(1, Math.floor(channels / HEAD_SIZE)) };
}

/** The numbered blocks of each level: one that halves or doubles ends it. */
function levels(shapes: Shapes, side: 'input' | 'output', isEnd: (i: number) => boolean): { blocks: number[] }[] {
  const all: { blocks: number[] }[] = [{ blocks: [] }];
  for (let i = side === 'input' ? 1 : 0; ; i++) {
    const isResidual = shapes.has(`${side}_blocks.${i}.0.in_layers.0.weight`);
    if (isResidual) all.at(-1)!.blocks.push(i);
    if (isEnd(i)) all.push({ blocks: [] });
    else if (!isResidual) return all.filter(({ blocks }) => blocks.length > 0);
  }
}

/** An autoencoder's configuration by its shapes. @throws UserError */
export function vaeOfShapes(shapes: Shapes, kind: 'sd' | 'sdxl'): VaeConfig {
  const levelCount = shapes.count((i) => `encoder.down.${i}.block.0.conv1.weight`);
  const [, latentChannels] = shapes.of('decoder.conv_in.weight') as [number, number];
  return {
    pictureChannels: shapes.of('encoder.conv_in.weight')[1]!,
    latentChannels,
    channels: Array.from({ length: levelCount }, (_, i) => shapes.of(`encoder.down.${i}.block.0.conv1.weight`)[0]!),
    layers: shapes.count((i) => `encoder.down.0.block.${i}.conv1.weight`),
    groups: GROUPS,
    attends: shapes.has('encoder.mid.attn_1.q.weight'),
    ...{ linearIn: shapes.has('quant_conv.weight'), linearOut: shapes.has('post_quant_conv.weight') },
    ...{ scale: kind === 'sdxl' ? 0.13025 : 0.18215, shift: 0 },
  };
}

/** CLIP's text encoder as OpenAI made it, under transformers' names. @throws UserError */
export function clipOfShapes(shapes: Shapes): TextConfig {
  const [vocabularySize, hiddenSize] = shapes.of('text_model.embeddings.token_embedding.weight') as [number, number];
  const layer = (i: number) => `text_model.encoder.layers.${i}.mlp.fc1.weight`;
  return {
    ...{ vocabularySize, hiddenSize, intermediateSize: shapes.of(layer(0))[0]!, layers: shapes.count(layer) },
    ...{ heads: Math.max(1, Math.floor(hiddenSize / HEAD_SIZE)), activation: 'quick_gelu', epsilon: EPSILON },
    positions: shapes.of('text_model.embeddings.position_embedding.weight')[0]!,
  };
}

/**
 * OpenCLIP's text encoder. Stable Diffusion 2 leaves its last layer out and takes no projection.
 * @throws UserError
 */
export function openClipOfShapes(shapes: Shapes, kind: 'sd' | 'sdxl'): TextConfig {
  const [vocabularySize, hiddenSize] = shapes.of('token_embedding.weight') as [number, number];
  const layer = (i: number) => `transformer.resblocks.${i}.mlp.c_fc.weight`;
  return {
    ...{ vocabularySize, hiddenSize, intermediateSize: shapes.of(layer(0))[0]! },
    layers: shapes.count(layer) - Number(kind === 'sd'),
    ...{ heads: Math.max(1, Math.floor(hiddenSize / HEAD_SIZE)), activation: 'gelu', epsilon: EPSILON },
    positions: shapes.of('positional_embedding')[0]!,
    projectionSize: kind === 'sdxl' ? shapes.of('text_projection')[1]! : undefined,
  };
}
