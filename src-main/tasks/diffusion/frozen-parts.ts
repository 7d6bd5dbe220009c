import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { LatentForm } from '../../models/diffusion/latents.ts';
import { MadeOnce } from '../../models/made-once.ts';
import { noiseSchedule, type NoiseSchedule } from '../../models/diffusion/noise/schedule.ts';
import type { PartName } from '../../models/diffusion/pipeline/file.ts';
import type { DiffusionModel } from '../../models/diffusion/pipeline/model.ts';
import { apart, readOnce, type TextNumbers } from '../../models/diffusion/pipeline/read-texts.ts';
import type { Vae } from '../../models/diffusion/vae/vae.ts';
import { joined } from '../../models/floats.ts';
import type { DrawnExample } from './batch.ts';
import type { FrozenParts } from './noised.ts';
import { pixelsOf } from './pixels.ts';

/**
 * A model's frozen parts for training: its VAE looks at each cut of a picture once, its text encoders at each caption once, however many
 * steps and runs are about them. The VAE is on the engine only from the first batch that needs it to the first that doesn't; the text encoders
 * leave likewise once a training has looked at all beforehand, and where no step reads texts anew.
 */
export class ModelParts implements FrozenParts {
  readonly schedule: NoiseSchedule;
  readonly form: LatentForm;
  readonly factor: number;
  private latents?: Promise<MadeOnce>;
  private texts?: Promise<MadeOnce>;
  private vae?: Vae;
  private isVaeNeeded = false;
  private areTextsNeeded = false;
  /** graphs may know the encoders */
  private areTextsInUse = true;

  constructor(private readonly model: DiffusionModel) {
    const { latentChannels: channels, scale, shift, channels: levels } = model.file.vae;
    this.schedule = noiseSchedule(model.file.noise);
    this.form = { channels, scale, shift };
    this.factor = 2 ** (levels.length - 1);
  }

  async moments(drawn: DrawnExample): Promise<Float32Array> {
    const { vae } = this.model.file;
    const made = await (this.latents ??= this.madeBy('latents', ['vae'], vae));
    return made.take([keyOf(drawn)], () => this.encode(drawn));
  }

  async text(caption: string): Promise<TextNumbers> {
    const { parts, does } = this.model.texts;
    const made = await (this.texts ??= this.madeBy('texts', parts, does));
    const { feeds } = this.model.texts.feeds([caption]);
    const ids = Object.values(feeds).map(({ values }) => values.join());
    const all = await made.take([ids.join(' ')], async () => {
      this.areTextsNeeded = true;
      const { context, pooled } = await readOnce(this.model, caption);
      return joined([context, pooled]);
    });
    return apart(all, this.model);
  }

  /**
   * Looks at all that these examples are seen as, each once.
   * @param withTexts false: texts are read anew at every step
   * @param tell how many pictures and texts are done, of all
   */
  async lookAt(
    batches: AsyncIterable<{ drawn: DrawnExample[] }>,
    withTexts: boolean,
    tell: (done: number, of: number) => void | Promise<void>,
  ): Promise<void> {
    const pictures = new Map<string, DrawnExample>();
    const captions = new Set<string>();
    for await (const { drawn } of batches)
      for (const one of drawn) {
        pictures.set(keyOf(one), one);
        if (withTexts) captions.add(one.caption);
      }
    const of = pictures.size + captions.size;
    let done = 0;
    try {
      for (const one of pictures.values()) {
        await this.moments(one);
        await tell(++done, of);
      }
      this.dispose();
      for (const caption of captions) {
        await this.text(caption);
        await tell(++done, of);
      }
    } finally {
      this.isVaeNeeded = this.areTextsNeeded = false;
      this.areTextsInUse = !withTexts;
      this.batchIsMade();
    }
  }

  /** To be called behind each batch. */
  batchIsMade(): void {
    if (!this.isVaeNeeded) this.dispose();
    if (!this.areTextsInUse && !this.areTextsNeeded) this.model.texts.release();
    this.isVaeNeeded = this.areTextsNeeded = false;
  }

  dispose(): void {
    this.vae?.dispose();
    this.vae = undefined;
  }

  private async madeBy(what: 'latents' | 'texts', parts: PartName[], config: object): Promise<MadeOnce> {
    const files: string[] = [];
    for (const part of parts) {
      const source = await this.model.file.source(part);
      files.push(...source.files);
      await source.close();
    }
    return MadeOnce.of(what, [...new Set(files)], config, tf.getBackend());
  }

  private async encode({ example, cut }: DrawnExample): Promise<Float32Array> {
    const { height, width, values } = await pixelsOf(example, cut);
    this.isVaeNeeded = true;
    const vae = (this.vae ??= await this.model.vae());
    const moments = tf.tidy(() => {
      const { mean, logVariance } = vae.moments(tf.tensor4d(values, [1, height, width, 3]));
      return tf.concat<Tensor4D>([mean, logVariance], 3);
    });
    const numbers = (await moments.data()) as Float32Array;
    moments.dispose();
    return numbers;
  }
}

/** Everything that a picture's latents are made of beside the VAE, without looking at its pixels. */
function keyOf({ example: { picture }, cut: { left, top, flipped } }: DrawnExample): string {
  const { sha256, width, height, bucketWidth, bucketHeight } = picture;
  return [sha256, width, height, bucketWidth, bucketHeight, left, top, Number(flipped)].join(' ');
}
