import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { frozenConvolution } from '../engine/convolution.ts';
import { UserError } from '../engine/types.ts';
import { joined } from '../models/floats.ts';
import { FileReader } from '../models/file-reader.ts';
import { readFloats, readSafetensorsHeader, type SafetensorsHeader } from '../models/safetensors.ts';
import type { Picture } from '../models/vision/pictures/picture.ts';

/** What a judge says of a picture. */
export interface Judgement {
  /** of which distances are reckoned */
  features: Float32Array;
  /** the name of what it shows */
  thing: string;
}

/** Of the 3x3 convolutions, from the first on. */
const STRIDES = [2, 1, 2, 1, 2, 1] as const;
/** Pictures a side, pixels. */
const SIDE = 64;
/** Pictures that are looked at together. */
const AT_ONCE = 24;
const thingsSchema = z.array(z.string()).min(1);

interface Layer {
  filter: Tensor4D;
  bias: Tensor1D;
  stride: 1 | 2;
}

/**
 * A small network that tells things apart in pictures of 64 x 64, and whose features tell how near one set of pictures is to another. It is
 * made by resources/diffusion-default/training/judge.py, which says what it computes.
 */
export class PictureJudge {
  private constructor(
    private readonly layers: Layer[],
    private readonly head: { weight: Tensor2D; bias: Tensor1D },
    private readonly things: string[],
  ) {}

  /** Reads its file onto the engine in use. @throws UserError for one that is no judge's */
  static async open(place: string): Promise<PictureJudge> {
    const file = await FileReader.open(place);
    try {
      const header = await readSafetensorsHeader(file);
      const things = thingsOf(header, place);
      const read = (name: string) => valuesOf(file, header, name);
      const layers = await Promise.all(STRIDES.map(async (stride, i) => ({ stride, filter: await read(`conv${i}.weight`), bias: await read(`conv${i}.bias`) }))); // prettier-ignore
      const [weight, bias] = [await read('things.weight'), await read('things.bias')];
      return new PictureJudge(
        layers.map(({ stride, ...layer }) => ({ stride, filter: filterOf(layer.filter), bias: tf.tensor1d(layer.bias.values) })), // prettier-ignore
        { weight: tf.tensor2d(weight.values, weight.shape as Tensor2D['shape']), bias: tf.tensor1d(bias.values) },
        things,
      );
    } finally {
      await file.close();
    }
  }

  /** @throws UserError for a picture of another size than it takes */
  async judge(pictures: Picture[]): Promise<Judgement[]> {
    const other = pictures.find(({ width, height }) => width !== SIDE || height !== SIDE);
    if (other)
      throw new UserError(`Pictures of ${other.width} x ${other.height} can't be judged; the judge takes ${SIDE} x ${SIDE} pixels`); // prettier-ignore
    const said: Judgement[] = [];
    for (let from = 0; from < pictures.length; from += AT_ONCE)
      said.push(...(await this.judgeTogether(pictures.slice(from, from + AT_ONCE))));
    return said;
  }

  private async judgeTogether(pictures: Picture[]): Promise<Judgement[]> {
    const [features, best] = tf.tidy(() => {
      const values = joined(pictures.map(({ rgb }) => Float32Array.from(rgb, (value) => value / 127.5 - 1)));
      let x = tf.tensor4d(values, [pictures.length, SIDE, SIDE, 3]);
      for (const { filter, bias, stride } of this.layers)
        x = tf.relu(tf.add<Tensor4D>(frozenConvolution(x, filter, { padding: [1, 1], stride }), bias));
      const means = tf.mean(x, [1, 2]) as Tensor2D;
      const scores = tf.add(tf.matMul(means, this.head.weight, false, true), this.head.bias);
      return [means, tf.argMax(scores, 1)] as const;
    });
    const [seen, which] = [(await features.data()) as Float32Array, await best.data()];
    const width = features.shape[1];
    tf.dispose([features, best]);
    return pictures.map((_, i) => ({
      features: seen.slice(i * width, (i + 1) * width),
      thing: this.things[which[i]!]!,
    }));
  }

  dispose(): void {
    tf.dispose([this.layers.map(({ filter, bias }) => [filter, bias]), this.head.weight, this.head.bias]);
  }
}

/** The names of its things, which the file's metadata lists. */
function thingsOf({ metadata }: SafetensorsHeader, place: string): string[] {
  try {
    return thingsSchema.parse(JSON.parse(metadata.things ?? ''));
  } catch {
    throw new UserError(`${place} is no judge of pictures: its metadata lists no things`);
  }
}

interface Values {
  values: Float32Array;
  shape: number[];
}

/** [out, in, 3, 3], as PyTorch has it, as [3, 3, in, out]. */
const filterOf = ({ values, shape }: Values): Tensor4D =>
  tf.tidy(() => tf.transpose(tf.tensor4d(values, shape as Tensor4D['shape']), [2, 3, 1, 0]));

async function valuesOf(file: FileReader, { tensors }: SafetensorsHeader, name: string): Promise<Values> {
  const entry = tensors.get(name);
  if (!entry) throw new UserError(`${file.path} is no judge of pictures: it has no tensor "${name}"`);
  return { values: await readFloats(file, entry), shape: entry.shape };
}
