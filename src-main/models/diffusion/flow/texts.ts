import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import type { RopeTables } from '../../block.ts';
import { loadCausalLM, type CausalLM } from '../../causal-lm.ts';
import type { Feeds } from '../../feeds.ts';
import { ropeTables } from '../../rope.ts';
import type { ModelConfig, ModelFile } from '../../types.ts';
import type { WeightFormat } from '../../weight-format.ts';
import type { TextFeatures } from '../pipeline/texts.ts';
import type { PartName } from '../pipeline/file.ts';
import { filledUp } from './places.ts';
import { MOST_TOKENS, type PromptTokenizer } from './prompt.ts';

/** A flow's text encoder as it lies on disk: a language model of the family Qwen 3. */
export interface PromptPart {
  config: ModelConfig;
  tokenizer: PromptTokenizer;
  /** its weights; close it */
  open(): Promise<ModelFile>;
}

/**
 * What reads texts for a flow, on the engine in use: a language model without its last layer, whose output is what the pipeline takes
 * (hidden_states[-2]). Each text has its own length, filled up to a multiple of 32.
 */
export class PromptTexts {
  /** none that can be adapted */
  readonly groups: string[] = [];
  readonly parts: PartName[] = ['text'];
  readonly length = MOST_TOKENS;
  /** how many tokens it has */
  readonly pooledWidth = 1;

  /** while it is open; `rope` is of all places that a text may have */
  private opened?: { model: CausalLM; rope: RopeTables };

  constructor(
    private readonly part: PromptPart,
    private readonly format: WeightFormat = 'f32',
  ) {}

  /** @throws UserError naming the tensor that is missing or of another shape */
  async open(): Promise<void> {
    if (this.opened) return;
    const file = await this.part.open();
    try {
      // Neither the last layer nor a head is run, so neither is loaded.
      const config: ModelConfig = { ...file.config, layers: file.config.layers - 1, tiedEmbeddings: true };
      const model = await loadCausalLM({ ...file, config }, this.format);
      const positions = Int32Array.from({ length: MOST_TOKENS }, (_, i) => i);
      const { cos, sin } = ropeTables(config, { positions }, false);
      const table = (values: Float32Array) => tf.keep(tf.tensor2d(values, [MOST_TOKENS, config.headSize / 2]));
      this.opened = { model, rope: { cos: table(cos), sin: table(sin) } };
    } finally {
      await file.close();
    }
  }

  get does(): object {
    return { kind: 'z-image', config: this.part.config };
  }

  get matrices(): { shape: number[] }[] {
    return this.opened?.model.matrices ?? [];
  }

  /** What texts feed, and the end of each that there was no room for. @throws UserError for a token that the model has not */
  feeds(texts: string[]): { feeds: Feeds; left: (string | undefined)[] } {
    const encoded = texts.map((text) => this.part.tokenizer.encode(text));
    const { vocabularySize } = this.part.config;
    const unknown = encoded.flatMap(({ ids }) => ids).find((id) => id >= vocabularySize);
    if (unknown !== undefined)
      throw new UserError(`The tokenizer gives token ${unknown}, and the text encoder has ${vocabularySize}; do the two belong together?`); // prettier-ignore
    const length = filledUp(Math.max(1, ...encoded.map(({ ids }) => ids.length)));
    const ids = new Int32Array(texts.length * length);
    const segments = new Int32Array(texts.length * length).fill(-1);
    encoded.forEach((own, i) => {
      ids.set(own.ids, i * length);
      segments.fill(0, i * length, i * length + own.ids.length);
    });
    return {
      feeds: {
        ...{ 'text.ids': { values: ids, shape: [ids.length] }, 'text.segments': { values: segments, shape: [ids.length] } }, // prettier-ignore
        'text.used': { values: Float32Array.from(encoded, (own) => own.ids.length), shape: [texts.length, 1] },
      },
      left: encoded.map(({ left }) => left),
    };
  }

  /** The features of texts from their feeds as tensors; `pooled` is how many tokens each has. */
  features(inputs: Record<string, Tensor>): TextFeatures {
    const [ids, segments] = [inputs['text.ids'] as Tensor1D, inputs['text.segments'] as Tensor1D];
    const used = inputs['text.used'] as Tensor2D;
    const { model, rope: whole } = this.opened!;
    const [texts, length] = [used.shape[0], ids.shape[0] / used.shape[0]];
    return tf.tidy(() => {
      const own = (table: Tensor2D) => tf.tile(tf.slice(table, [0, 0], [length, -1]), [texts, 1]);
      const rope = { cos: own(whole.cos), sin: own(whole.sin) };
      const context = model.hidden({ length, ids, segments, rope, labels: ids, labelCount: 0 }, { recompute: false }); // prettier-ignore
      return { context, pooled: tf.clone(used) };
    });
  }

  siteWeight(): undefined {}

  release(): void {
    this.opened?.model.dispose();
    tf.dispose([this.opened?.rope.cos, this.opened?.rope.sin]);
    this.opened = undefined;
  }
}
