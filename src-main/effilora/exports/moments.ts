import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../adapter.ts';
import { UserError } from '../../engine/types.ts';
import { headsPerSite, LANGUAGE } from '../methods/structure.ts';
import { rowsOf, siteName as key } from '../names.ts';
import type { SiteShape } from '../types.ts';

/** A matrix on the host, row-major, f64. */
export interface Matrix {
  rows: number;
  columns: number;
  data: Float64Array;
}

/** What a site's calibration tokens amount to (docs/method.md, Static export); h = A x, z = concat_j(omega_j h). */
export interface SiteMoments {
  /** E[h h^T] [r, r] */
  hh: Matrix;
  /** E[z h^T] [N * r, r], that is E[omega_j h h^T] for every j */
  zh: Matrix;
  /** E[z z^T] [N * r, N * r] */
  zz: Matrix;
  /** E[omega_j] [N]; a head without a router has 1 */
  omega: Float64Array;
}

/** The same for the whole input x of some sites, on the engine: E[z x^T] [sites * N * r, in] and E[x x^T] [in, in]. */
export interface InputMoments {
  zx: Tensor2D;
  xx: Tensor2D;
}

interface Sums {
  /** sum of (h | z)^T (h | z), [r + N * r] squared */
  gram: Float64Array;
  omega: Float64Array;
}

/**
 * Collects moments of an adapter's sites while a model runs. Its memory does not grow with the tokens: [r + N * r] squared a
 * site, and for the layers in `inputLayers` [in, in] for every distinct input.
 *
 *     calibration.begin(masks); run the model; await calibration.end(counts);      as often as there are batches
 */
export class Calibration {
  readonly #adapter: Adapter;
  readonly #inputLayers: ReadonlySet<number>;
  readonly #sums = new Map<string, Sums>();
  /** of the batch under way, on the engine */
  readonly #grams = new Map<string, Tensor2D>();
  readonly #omegas = new Map<string, Tensor2D>();
  readonly #inputs = new Map<string, Tensor2D>();
  readonly #products = new Map<string, Tensor2D>();
  /** which entry of `#inputs` a site reads */
  readonly #inputOf = new Map<string, string>();
  #lastInput: { id: number; name: string } | undefined;
  /** real rows that the linears of each part of the model saw */
  readonly #rows = new Map<string, number>();

  constructor(adapter: Adapter, inputLayers: ReadonlySet<number> = new Set()) {
    this.#adapter = adapter;
    this.#inputLayers = inputLayers;
  }

  /** Tokens that the language model saw. */
  get tokens(): number {
    return this.#rows.get(LANGUAGE) ?? 0;
  }

  /** Observes from now on. masks by the rows' names, [rows, 1]: 1 at rows that count, 0 at padding. */
  begin(masks: Record<string, Tensor2D>): void {
    this.#adapter.observeRouter = (site, omega) => {
      const mask = masks[rowsOf(site)]!;
      this.#omegas.set(key(site), tf.keep(tf.matMul<Tensor2D>(mask, omega, true, false)));
    };
    this.#adapter.observeHeads = (site, x, a, z) => {
      const mask = masks[rowsOf(site)]!;
      const masked = tf.mul<Tensor2D>(x, mask);
      const h = tf.matMul<Tensor2D>(masked, a, false, true);
      const zMasked = tf.mul<Tensor2D>(z, mask);
      const both = tf.concat([h, zMasked], 1);
      this.#grams.set(key(site), tf.keep(tf.matMul<Tensor2D>(both, both, true, false)));
      if (this.#inputLayers.has(site.block)) this.#observeInput(site, x.id, masked, zMasked);
    };
  }

  #observeInput(site: SiteShape, inputId: number, x: Tensor2D, z: Tensor2D): void {
    addTo(this.#products, key(site), tf.matMul<Tensor2D>(z, x, true, false));
    // q, k and v read the same tensor, gate and up as well.
    if (this.#lastInput?.id !== inputId) {
      this.#lastInput = { id: inputId, name: key(site) };
      addTo(this.#inputs, key(site), tf.matMul<Tensor2D>(x, x, true, false));
    }
    this.#inputOf.set(key(site), this.#lastInput.name);
  }

  /** Adds up what the batch gave and stops observing. `counts`: the rows that each mask counts. */
  async end(counts: Record<string, number>): Promise<void> {
    this.#adapter.observeRouter = undefined;
    this.#adapter.observeHeads = undefined;
    this.#lastInput = undefined;
    for (const [part, count] of Object.entries(counts)) this.#rows.set(part, (this.#rows.get(part) ?? 0) + count);
    for (const [name, gram] of this.#grams) {
      const omega = this.#omegas.get(name);
      const sums = this.#sums.get(name) ?? {
        gram: new Float64Array(gram.size),
        omega: new Float64Array(omega?.size ?? 0),
      };
      addInto(sums.gram, await gram.data());
      if (omega) addInto(sums.omega, await omega.data());
      this.#sums.set(name, sums);
    }
    tf.dispose([...this.#grams.values(), ...this.#omegas.values()]);
    this.#grams.clear();
    this.#omegas.clear();
  }

  /** The moments of a site; a dropped head's omega counts as 0, as its z does. */
  moments(site: SiteShape): SiteMoments {
    const sums = this.#sums.get(key(site));
    if (!sums)
      throw new UserError(
        `No example that the export is calibrated on passes ${key(site)}: they have no pictures; name a dataset that has some with --calibrate`,
      );
    const { gram, omega } = sums;
    const rows = this.#rows.get(rowsOf(site))!;
    const r = this.#adapter.options.rank;
    const width = Math.round(Math.sqrt(gram.length));
    const part = (top: number, left: number, height: number, columns: number): Matrix => {
      const data = new Float64Array(height * columns);
      for (let i = 0; i < height; i++)
        for (let j = 0; j < columns; j++) data[i * columns + j] = gram[(top + i) * width + left + j]! / rows;
      return { rows: height, columns, data };
    };
    const zz = part(r, r, width - r, width - r);
    const heads = headsPerSite(this.#adapter.options);
    const means = Float64Array.from({ length: heads }, (_, j) => {
      const dropped = zz.data.every((value, i) => Math.floor(i / zz.columns / r) !== j || value === 0);
      return dropped ? 0 : omega.length ? omega[j]! / rows : 1;
    });
    return { hh: part(0, 0, r, r), zh: part(r, 0, width - r, r), zz, omega: means };
  }

  /** Sites in `inputLayers`, those that read the same input together. */
  byInput(sites: SiteShape[]): SiteShape[][] {
    const groups = new Map<string, SiteShape[]>();
    for (const site of sites) {
      const input = this.#inputOf.get(key(site))!;
      groups.set(input, [...(groups.get(input) ?? []), site]);
    }
    return [...groups.values()];
  }

  /** The moments of the input that these sites in `inputLayers` share, z one site's after the other's; the caller disposes them. */
  inputMoments(...sites: SiteShape[]): InputMoments {
    const rows = this.#rows.get(rowsOf(sites[0]!))!;
    const scaled = (sum: Tensor2D) => tf.mul<Tensor2D>(sum, 1 / rows);
    const input = this.#inputs.get(this.#inputOf.get(key(sites[0]!))!)!;
    return tf.tidy(() => ({
      zx: scaled(tf.concat(sites.map((site) => this.#products.get(key(site))!))),
      xx: scaled(input),
    }));
  }

  dispose(): void {
    this.#adapter.observeRouter = undefined;
    this.#adapter.observeHeads = undefined;
    for (const tensors of [this.#grams, this.#omegas, this.#inputs, this.#products]) tf.dispose([...tensors.values()]);
  }
}

/** Bytes that the input moments of a site take on the engine at most: sites that read the same input share the larger part. */
export function inputMomentBytes({ inFeatures }: SiteShape, zWidth: number): number {
  return 4 * inFeatures * (inFeatures + zWidth);
}

function addTo(sums: Map<string, Tensor2D>, name: string, value: Tensor2D): void {
  const before = sums.get(name);
  sums.set(name, tf.keep(before ? tf.add<Tensor2D>(before, value) : value));
  before?.dispose();
}

function addInto(sum: Float64Array, values: ArrayLike<number>): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}
