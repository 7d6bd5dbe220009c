import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor } from '@tensorflow/tfjs-core';
import type { Feeds } from '../../feeds.ts';
import type { WeightFormat } from '../../weight-format.ts';
import type { DiffusionPass, DiffusionSite } from '../site.ts';
import { TextEncoder, tokenFeeds, type TextInputs } from '../text/encoder.ts';
import type { PartName, TextPart, UNetFile } from './file.ts';

/** What texts become for a network. */
export interface TextFeatures {
  /** [texts * length, contextWidth] */
  context: Tensor2D;
  /** SDXL: each whole text's own, [texts, width]; of a flow, whose texts have their own lengths: how many tokens each has */
  pooled?: Tensor2D;
}

/** As SDXL takes both of its encoders: what lies before the last layer, without the norm behind it. */
const BEFORE_LAST = { skip: 1, normed: false };

/** A model's CLIP text encoders, on the engine in use while they are open, and their tokenizers. */
export class Texts {
  private readonly own: TextPart[];
  private readonly kind: UNetFile['kind'];
  /** of those that are open; else none */
  private encoders: TextEncoder[] = [];

  constructor(
    private readonly file: Pick<UNetFile, 'texts' | 'kind' | 'source'>,
    private readonly format?: WeightFormat,
  ) {
    this.own = file.texts;
    this.kind = file.kind;
  }

  /** @throws UserError naming the tensor that is missing or of another shape */
  async open(): Promise<void> {
    if (this.encoders.length > 0) return;
    const encoders: TextEncoder[] = [];
    try {
      for (const { group, config } of this.own)
        encoders.push(await TextEncoder.from(config, await this.file.source(group), group, this.format));
      this.encoders = encoders;
    } catch (error) {
      for (const encoder of encoders) encoder.dispose();
      throw error;
    }
  }

  get groups(): string[] {
    return this.own.map(({ group }) => group);
  }

  get parts(): PartName[] {
    return this.own.map(({ group }) => group);
  }

  get does(): object {
    return { kind: this.kind, parts: this.own.map(({ config }) => config) };
  }

  get pooledWidth(): number {
    return this.kind === 'sd' ? 0 : (this.own.at(-1)!.config.projectionSize ?? 0);
  }

  get matrices(): { shape: number[] }[] {
    return this.encoders.flatMap(({ tensors }) => [...tensors.values()]);
  }

  /** Tokens of a text. */
  get length(): number {
    return this.own[0]!.tokenizer.length;
  }

  /** What texts feed, for every encoder, and the end of each that there was no room for. */
  feeds(texts: string[]): { feeds: Feeds; left: (string | undefined)[] } {
    const encoded = this.own.map(({ tokenizer }) => texts.map((text) => tokenizer.encode(text)));
    const feeds: Feeds = {};
    this.own.forEach(({ config, group }, i) => {
      const own = tokenFeeds(config, encoded[i]!.map(({ ids }) => ids)); // prettier-ignore
      for (const [name, feed] of Object.entries(own)) feeds[`${group}.${name}`] = feed;
    });
    return { feeds, left: texts.map((_, i) => encoded.map((own) => own[i]!.left).find((left) => left !== undefined)) };
  }

  /** The features of texts from their feeds as tensors; differentiable with respect to the adaptation. */
  features(inputs: Record<string, Tensor>, pass: DiffusionPass = {}): TextFeatures {
    const own = ({ group }: TextEncoder): TextInputs => ({
      ids: inputs[`${group}.ids`] as Tensor1D,
      ends: inputs[`${group}.ends`] as Tensor1D,
    });
    const [first, second] = this.encoders as [TextEncoder, TextEncoder];
    if (this.kind === 'sd') return { context: first.features(own(first), {}, pass) };
    return tf.tidy(() => {
      const { features, pooled } = second.featuresAndPooled(own(second), BEFORE_LAST, pass);
      return { context: tf.concat([first.features(own(first), BEFORE_LAST, pass), features], 1), pooled };
    });
  }

  siteWeight(site: Omit<DiffusionSite, 'group'> & { group: string }): Tensor2D | undefined {
    return this.encoders.find(({ group }) => group === site.group)?.siteWeight(site);
  }

  release(): void {
    for (const encoder of this.encoders.splice(0)) encoder.dispose();
  }
}
