import { UserError } from '../../../engine/types.ts';
import { openGgufFile, type GgufFile } from '../../gguf/parts.ts';
import { numbersOf, type GgufHeader } from '../../gguf/types.ts';
import type { EncoderConfig, QwenConfig, VisionConfig } from '../towers/config.ts';

/** What an mmproj file says of one thing, checked. */
export class MmprojFacts {
  constructor(
    private readonly header: GgufHeader,
    readonly file: string,
  ) {}

  /** A whole number from 1 on. @throws UserError naming file and key */
  count(key: string, otherwise?: number): number {
    const value = this.header.metadata.get(key) ?? otherwise;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 1 << 26) return value;
    throw this.unusable(key, value);
  }

  number(key: string, otherwise?: number): number {
    const value = this.header.metadata.get(key) ?? otherwise;
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return value;
    throw this.unusable(key, value);
  }

  text(key: string): string | undefined {
    const value = this.header.metadata.get(key);
    return typeof value === 'string' ? value : undefined;
  }

  is(key: string): boolean {
    const value = this.header.metadata.get(key);
    return value === true || value === 1;
  }

  numbers(key: string): number[] | undefined {
    const value = numbersOf(this.header.metadata.get(key));
    return value && Array.from(value, Number);
  }

  has(tensor: string): boolean {
    return this.header.tensors.has(tensor);
  }

  unusable(key: string, value: unknown): UserError {
    const said = value === undefined ? 'missing' : `${String(value).slice(0, 40)}, which is not usable`;
    return new UserError(`${this.file}: ${key} is ${said}; fetch the mmproj of this model again`);
  }
}

const GELU = 'clip.use_gelu';
/** What llama.cpp's converter takes for granted of Qwen2.5-VL (tools/mtmd/clip.cpp). */
const QWEN = { windowSize: 112, merge: 2, frames: 2 };
const MOST_LAYERS = 1000;

/** Opens an mmproj file: what a model sees with, as llama.cpp has it. The caller closes it. @throws UserError naming file and key */
export async function openMmproj(
  file: string,
): Promise<{ opened: GgufFile; facts: MmprojFacts; config: VisionConfig }> {
  const opened = await openGgufFile(file);
  try {
    const facts = new MmprojFacts(opened.header, file);
    return { opened, facts, config: configOf(facts) };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

function configOf(facts: MmprojFacts): VisionConfig {
  const { file } = facts;
  if (facts.text('general.architecture') !== 'clip')
    throw new UserError(`${file} is no mmproj file: its general.architecture is ${facts.text('general.architecture') ?? 'missing'}, not clip`); // prettier-ignore
  if (!facts.is('clip.has_vision_encoder')) throw new UserError(`${file} has no tower for pictures (clip.has_vision_encoder)`); // prettier-ignore
  const outSize = facts.count('clip.vision.projection_dim');
  const type = facts.text('clip.projector_type') ?? facts.text('clip.vision.projector_type') ?? 'missing';
  switch (type) {
    case 'idefics3': {
      const tower = encoder(facts, 'siglip');
      const scale = facts.count('clip.vision.projector.scale_factor');
      checkSide(tower, scale, facts);
      return { tower, connector: { kind: 'shuffle', scale, outSize } };
    }
    case 'gemma3': {
      const tower = encoder(facts, 'siglip');
      const block = facts.count('clip.vision.projector.scale_factor', 4);
      checkSide(tower, block, facts);
      const tokensPerSide = Math.floor(tower.imageSize / tower.patchSize) / block;
      return { tower, connector: { kind: 'pool', tokensPerSide, epsilon: tower.epsilon, outSize } };
    }
    case 'mlp': {
      const tower = encoder(facts, 'clip');
      const bias = facts.has('mm.0.bias');
      return { tower, connector: { kind: 'mlp', activation: 'gelu', bias, dropClass: true, outSize } };
    }
    case 'qwen2.5vl_merger':
      return { tower: qwen(facts), connector: { kind: 'merge', outSize } };
    default:
      throw new UserError(`${file}: the projector "${type.slice(0, 40)}" is not supported; supported are idefics3, gemma3, mlp and qwen2.5vl_merger. Open the model's Hugging Face folder`); // prettier-ignore
  }
}

function widths(facts: MmprojFacts) {
  const layers = facts.count('clip.vision.block_count');
  const hiddenSize = facts.count('clip.vision.embedding_length');
  const heads = facts.count('clip.vision.attention.head_count');
  const patchSize = facts.count('clip.vision.patch_size');
  if (layers > MOST_LAYERS) throw facts.unusable('clip.vision.block_count', layers);
  if (hiddenSize % heads !== 0) throw facts.unusable('clip.vision.attention.head_count', heads);
  return { layers, hiddenSize, heads, patchSize, intermediateSize: facts.count('clip.vision.feed_forward_length') };
}

function encoder(facts: MmprojFacts, kind: EncoderConfig['kind']): EncoderConfig {
  const { layers, ...own } = widths(facts);
  return {
    ...{ kind, ...own, imageSize: facts.count('clip.vision.image_size') },
    layers: kind === 'clip' ? layerOf(facts, layers) : layers,
    epsilon: facts.number('clip.vision.attention.layer_norm_epsilon'),
    // llama.cpp knows one GELU, by tanh, and takes quick_gelu where neither is said.
    activation: facts.is(GELU) ? 'gelu_tanh' : 'quick_gelu',
  };
}

/** LLaVA's features come from one of the layers, by default the last but one. */
function layerOf(facts: MmprojFacts, layers: number): number {
  const key = 'clip.vision.feature_layer';
  const given = facts.numbers(key);
  if (given === undefined) return layers - 1;
  const [layer] = given;
  if (given.length === 1 && layer! >= 1 && layer! <= layers) return layer!;
  throw facts.unusable(key, given.join(', '));
}

function qwen(facts: MmprojFacts): QwenConfig {
  const { layers, ...own } = widths(facts);
  const every = facts.count('clip.vision.n_wa_pattern');
  const full = Array.from({ length: Math.floor(layers / every) }, (_, i) => (i + 1) * every - 1);
  if (own.hiddenSize % (own.heads * 4) !== 0) throw facts.unusable('clip.vision.attention.head_count', own.heads);
  return { kind: 'qwen2.5', ...own, ...QWEN, layers, full };
}

function checkSide({ imageSize, patchSize }: EncoderConfig, block: number, facts: MmprojFacts): void {
  if (Math.floor(imageSize / patchSize) % block !== 0)
    throw facts.unusable('clip.vision.projector.scale_factor', block);
}
