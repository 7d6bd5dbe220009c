import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../../engine/types.ts';
import { loadCausalLM, type CausalLM } from '../causal-lm.ts';
import type { Feeds } from '../feeds.ts';
import type { SeenPrompt } from '../seen-prompt.ts';
import type { Adaptation, ModelFile, TokenBatch } from '../types.ts';
import type { HeldFormat } from '../weight-format.ts';
import { lookedAt, lookOf } from './look.ts';
import { axesOf, mergedSize, reachOf } from './laid.ts';
import type { SeeingPass } from './towers/parts.ts';
import { CONNECTOR, connectorTensors, seeingSites, TOWER, type SeeingTensor } from './towers/sites.ts';
import { VisionModel } from './towers/vision-model.ts';
import type { PatchGrid } from './towers/windows.ts';
import type { FedPictures } from './preparation/fed.ts';
import { SeenOnce } from './seen-once.ts';

/** Texts with pictures on the host: which tokens are a picture's, their ids say. */
export interface PictureBatch extends TokenBatch, FedPictures {
  /** what the pictures become where that doesn't change any more, [features, hidden]; `patches` is empty then */
  features?: Float32Array;
}

/** Whether pictures are seen otherwise with an adaptation. */
export const changesSeeing = (adaptation: Adaptation | undefined): boolean =>
  [TOWER, CONNECTOR].some((part) => adaptation?.adapts?.(part));

/** A language model with what it sees with, both frozen, on the engine in use. */
export class VisionLanguageModel {
  private constructor(
    readonly language: CausalLM,
    readonly vision: VisionModel,
    /** id of the token that stands for one feature of a picture */
    readonly imageToken: number,
    private readonly seenOnce: SeenOnce,
  ) {}

  /** Both on the engine in use. @throws UserError naming the tensor that is missing or of another shape */
  static async load(file: ModelFile, format: HeldFormat = 'auto'): Promise<VisionLanguageModel> {
    if (!file.sees) throw new UserError(`${file.path} is a model of text alone; give one that takes pictures`);
    const language = await loadCausalLM(file, format);
    try {
      const vision = await VisionModel.load(file.sees.place);
      const look = lookOf(vision, language.weights);
      const seenOnce = await SeenOnce.of(vision.files, vision.config, tf.getBackend(), look);
      return new VisionLanguageModel(language, vision, file.sees.imageToken, seenOnce);
    } catch (error) {
      language.dispose();
      throw error;
    }
  }

  get architecture(): string {
    return this.language.architecture;
  }

  get blocks(): number {
    return this.language.blocks;
  }

  get weights(): object {
    return this.language.weights;
  }

  get matrices(): { shape: number[] }[] {
    return [...this.language.matrices, ...this.vision.tensors.values()];
  }

  /** The sites of its language model, then those of the tower and of the connector. */
  sites(): (ReturnType<CausalLM['sites']>[number] | ReturnType<typeof seeingSites>[number])[] {
    return [...this.language.sites(), ...seeingSites(this.vision.config)];
  }

  siteWeight(site: { block: number; site: string; group: string }): Tensor2D {
    return site.group === TOWER || site.group === CONNECTOR
      ? this.vision.siteWeight(site)
      : this.language.siteWeight(site);
  }

  /** What can be trained whole: the connector. */
  wholeTensors(): SeeingTensor[] {
    return connectorTensors(this.vision.config);
  }

  /** One of them as it is frozen; the caller disposes it. */
  wholeTensor(name: string): Tensor {
    return this.vision.wholeTensor(name);
  }

  /**
   * Which feature each token is, -1 for text: features are in the order of their tokens.
   * @throws UserError where there are not as many tokens as the pictures have features
   */
  places({ inputIds, grids }: Pick<PictureBatch, 'inputIds' | 'grids'>): Int32Array {
    let seen = 0;
    const places = inputIds.map((id) => (id === this.imageToken ? seen++ : -1));
    const features = this.vision.tokens(grids);
    if (seen !== features)
      throw new UserError(
        `The texts have ${seen} image tokens, and their pictures ${features} features: a picture was cut in two, or prepared for another model`,
      );
    return places;
  }

  /** Whether a picture's tokens see what lies ahead of them in it, as Gemma 3's do. */
  get looksAhead(): boolean {
    return this.vision.config.connector.kind === 'pool';
  }

  /** The texts as the language model takes them, which may place a picture's tokens and let them see otherwise than text. */
  laid(batch: TokenBatch & Pick<PictureBatch, 'grids'>): TokenBatch {
    const isPicture = (token: number) => batch.inputIds[token] === this.imageToken;
    const { tower } = this.vision.config;
    if (this.looksAhead) return { ...batch, reach: reachOf(batch, isPicture) };
    if (tower.kind !== 'qwen2.5') return batch;
    const sizes = batch.grids.map((grid) => mergedSize(grid, tower.merge));
    return { ...batch, axes: axesOf(batch, isPicture, sizes) };
  }

  /** The batch with its pictures seen, where an adaptation leaves alone what they are seen with; else as it is. */
  async seen(batch: PictureBatch, adaptation: Adaptation | undefined): Promise<PictureBatch> {
    if (batch.grids.length === 0 || changesSeeing(adaptation)) return batch;
    return { ...batch, features: await this.seenOnce.features(batch), patches: new Float32Array(0) };
  }

  /** What the pictures of a batch feed that are not yet seen. */
  feeds({ patches, grids }: PictureBatch): Feeds {
    return this.vision.feeds(patches, grids);
  }

  /** The pictures' features from their feeds as tensors, [features, hidden]. */
  features(inputs: Record<string, Tensor>, { grids }: Pick<PictureBatch, 'grids'>, pass: SeeingPass = {}): Tensor2D {
    return this.vision.features(inputs, grids, pass);
  }

  /** What a prompt sees, for generation. Of the pictures, the prompt may have the first ones alone. */
  async seenIn(ids: ArrayLike<number>, pictures: FedPictures, adaptation?: Adaptation): Promise<SeenPrompt> {
    return this.promptOf(ids, pictures.grids, await this.featuresOf(pictures, adaptation));
  }

  /** What some pictures become, on the host, [features, hidden]. */
  async featuresOf(pictures: FedPictures, adaptation?: Adaptation): Promise<Float32Array> {
    if (!changesSeeing(adaptation)) return this.seenOnce.features(pictures);
    return pictures.grids.length === 0 ? new Float32Array(0) : lookedAt(this.vision, pictures, adaptation);
  }

  /** A prompt with the features of its pictures. */
  promptOf(ids: ArrayLike<number>, grids: PatchGrid[], features: Float32Array): SeenPrompt {
    const length = ids.length;
    const inputIds = Int32Array.from(ids);
    const positions = Int32Array.from({ length }, (_, i) => i);
    const row = { rows: 1, length, inputIds, positions, labels: inputIds, segments: new Int32Array(length) };
    const { reach, axes } = this.laid({ ...row, grids });
    let seen = 0;
    const places = inputIds.map((id) => (id === this.imageToken ? seen++ : -1));
    return { places, features, reach, axes };
  }

  dispose(): void {
    this.language.dispose();
    this.vision.dispose();
  }
}
