import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../adapter.ts';
import { fileLayoutOfB } from '../layout.ts';
import { headsPerSite, scaleOf, siteTensors } from '../methods/structure.ts';
import { headName, siteName, siteTensor } from '../names.ts';
import type { Trainable } from '../trainable.ts';
import type { AdapterOptions, NamedTensor, SiteShape } from '../types.ts';
import { adaptedNorms } from '../weight-decomposition.ts';
import type { Matrix } from './moments.ts';

/** How a site's z = concat_j(omega_j h) [N * r] is foretold without a router. */
export type SiteForm =
  /** z ~ P h: P [N * r, r] */
  | { kind: 'rank-r'; p: Matrix }
  /** z ~ L x: L [N * r, in], and which heads stay */
  | { kind: 'rank-nr'; l: Float32Array; heads: number[] };

/** An adapter of method `lora`: what every other runtime understands; its tensors, then what is trained whole. */
export interface PlainLora {
  options: AdapterOptions;
  tensors: NamedTensor[];
}

/** The rank of a plain LoRA that keeps these heads of each site apart; sites with fewer are filled up with zeros. */
export function wideRank(rank: number, forms: Iterable<{ heads: number[] }>): number {
  return rank * Math.max(1, ...[...forms].map(({ heads }) => heads.length));
}

/**
 * The plain LoRA of an adapter, its scale kept whatever its rank:
 *
 *     rank r:      lora_A = A,  lora_B = [B_1 ... B_N] P
 *     rank N * r:  lora_A = L,  lora_B = [B_1 ... B_N]
 *
 * What is trained whole goes along as it is. With DoRA the magnitudes are chosen so that each output keeps its gain magnitude / norm of the adapted weight.
 * @param forms by `<layer>.<site>`, all of one kind
 * @param weight a site's frozen W [in, out], for DoRA; disposed here
 */
export async function plainLora(
  adapter: Adapter,
  forms: ReadonlyMap<string, SiteForm>,
  weight: (site: SiteShape) => Tensor2D,
): Promise<PlainLora> {
  const { options } = adapter;
  const wide = [...forms.values()].filter((form) => form.kind === 'rank-nr');
  const rank = wide.length ? wideRank(options.rank, wide) : options.rank;
  const tensors: NamedTensor[] = [];
  for (const shape of adapter.sites) {
    const [a, b] = await siteMatrices(adapter, shape, forms.get(siteName(shape))!, rank);
    const { inFeatures, outFeatures } = shape;
    tensors.push({ name: siteTensor(shape, 'A'), shape: [rank, inFeatures], data: a });
    const up = fileLayoutOfB(b, 1, outFeatures, rank);
    tensors.push({ name: siteTensor(shape, 'B'), shape: [1, outFeatures, rank], data: up });
    if (options.dora) {
      const data = await magnitudes(adapter, shape, { a, b, rank }, weight(shape));
      tensors.push({ name: siteTensor(shape, 'magnitude'), shape: [outFeatures], data });
    }
  }
  for (const { name, shape } of options.whole ?? [])
    tensors.push({ name, shape, data: Float32Array.from(await adapter.whole(name)!.data()) });
  const alpha = scaleOf(options) * rank;
  const plain = { ...options, name: 'lora' as const, rank, heads: 1, alpha, rsLora: false, dropout: 0 };
  return { options: { ...plain, share: 'global', router: 'site' }, tensors };
}

/** lora_A [rank, in] and lora_B in memory layout [rank, out] of a site. */
async function siteMatrices(
  adapter: Adapter,
  shape: SiteShape,
  form: SiteForm,
  rank: number,
): Promise<[Float32Array, Float32Array]> {
  const pair = adapter.pairOf(shape);
  const [a, heads] = (await Promise.all([pair.a.data(), pair.b.data()])) as [Float32Array, Float32Array];
  tf.dispose([pair.a, pair.b]);
  const { outFeatures: out, inFeatures } = shape;
  if (form.kind === 'rank-r') return [Float32Array.from(a), productTransposed(form.p, heads, out)];
  const r = adapter.options.rank;
  const wideA = new Float32Array(rank * inFeatures);
  const wideB = new Float32Array(rank * out);
  form.heads.forEach((head, place) => {
    wideA.set(form.l.subarray(head * r * inFeatures, (head + 1) * r * inFeatures), place * r * inFeatures);
    wideB.set(heads.subarray(head * r * out, (head + 1) * r * out), place * r * out);
  });
  return [wideA, wideB];
}

/** P^T B [r, out] of P [N * r, r] and B [N * r, out]. */
function productTransposed(p: Matrix, b: Float32Array, out: number): Float32Array {
  const result = new Float64Array(p.columns * out);
  for (let k = 0; k < p.rows; k++) {
    for (let i = 0; i < p.columns; i++) {
      const factor = p.data[k * p.columns + i]!;
      if (factor !== 0) for (let o = 0; o < out; o++) result[i * out + o]! += factor * b[k * out + o]!;
    }
  }
  return Float32Array.from(result);
}

/** The magnitudes [out] with which the plain LoRA's DoRA gives each output the gain it has in the adapter. */
async function magnitudes(
  adapter: Adapter,
  shape: SiteShape,
  plain: { a: Float32Array; b: Float32Array; rank: number },
  weight: Tensor2D,
): Promise<Float32Array> {
  const scale = scaleOf(adapter.options);
  const variable = (role: 'A' | 'B' | 'magnitude') => siteTrainable(adapter, shape, role).variable;
  const result = tf.tidy(() => {
    const theirs = adaptedNorms(
      weight,
      tf.tensor2d(plain.a, [plain.rank, shape.inFeatures]),
      tf.tensor2d(plain.b, [plain.rank, shape.outFeatures]),
      scale,
    );
    return tf.mul(variable('magnitude'), tf.div(theirs, adaptedNorms(weight, variable('A'), variable('B'), scale)));
  });
  const values = Float32Array.from(await result.data());
  tf.dispose([result, weight]);
  return values;
}

/** The tensor of that role that acts at a site. */
export function siteTrainable(adapter: Adapter, shape: SiteShape, role: 'A' | 'B' | 'magnitude'): Trainable {
  const name = siteTensors(shape, adapter.options)[role];
  return adapter.trainables.find((trainable) => trainable.name === name)!;
}

/** The heads of a site that are not dropped. */
export function keptHeads(adapter: Adapter, shape: SiteShape, dropped: ReadonlySet<string>): number[] {
  return Array.from({ length: headsPerSite(adapter.options) }, (_, head) => head).filter(
    (head) => !dropped.has(headName({ ...shape, head })),
  );
}
