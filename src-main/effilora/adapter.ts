import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { productAdd } from '../engine/fused.ts';
import { type LowRankInputs } from '../engine/fused-kernels.ts';
import { type ImplicitRows, isImplicit } from '../engine/implicit-rows.ts';
import { hasLowRank, lowRankMixture } from '../engine/low-rank.ts';
import { ALL_STAY, type Drop, DroppedHeads } from './dropped-heads.ts';
import { dropout, featureNoise } from './dropout.ts';
import { gradientTimes } from './gradient-times.ts';
import { inFile, inMemory } from './layout.ts';
import type { LowRankPair } from './methods/method.ts';
import { methodOf } from './methods/registry.ts';
import {
  adaptedSites,
  adapterTensors,
  headNames,
  headsPerSite,
  LANGUAGE,
  scaleOf,
  siteTensors,
} from './methods/structure.ts';
import type { SiteTensors } from './methods/tensors.ts';
import { inBlock, rowsOf, type SiteId, type SitePart, siteName as key } from './names.ts';
import { SharedHidden } from './one-head.ts';
import { type AdapterTensor, fresh, type Trainable, variableOf } from './trainable.ts';
import type {
  AdapterOptions,
  HeadName,
  HeldTensor,
  LayerTensors,
  NamedTensor,
  RowInputs,
  SiteShape,
  StepInputs,
} from './types.ts';
import { adaptedNorms, decompose, outputNorms } from './weight-decomposition.ts';
import { weightedHeads } from './weighted-heads.ts';

interface Site {
  shape: SiteShape;
  /** names inside a layer's parameters */
  names: SiteTensors;
  firstHead: number;
  /** zero [1, N]; its gradient is the site's router share (router-share.ts) */
  tap?: tf.Variable<tf.Rank.R2>;
  noise?: Tensor2D;
}

/** `h`: A x, where other sites have it, too */
type SiteInputs = Omit<LowRankInputs, 'router' | 'x'> & { x: Tensor2D | ImplicitRows; h?: Tensor2D };

/**
 * An adapter's tensors and what it adds to a frozen linear:
 *
 *     h = A x        omega = softmax(router x)        y = W x + scale * sum_j omega_j (B_j h)
 *
 * Fits models/types.ts `Adaptation`. Owns its variables: call `dispose` at the end.
 */
export class Adapter {
  readonly options: AdapterOptions;
  /** the adapted sites, by layer and then in the model's site order */
  readonly sites: SiteShape[];
  readonly heads: HeadName[];
  /** all of its tensors, in the order of the file */
  readonly tensors: AdapterTensor[];
  /** those that learn */
  readonly trainables: Trainable[];
  /** what a training step feeds in; undefined outside one: no dropout, no share, every head as it is */
  step?: StepInputs;
  /** called with omega [tokens, N] of every site that runs, e.g. to colour tokens by head; keep what you want to keep */
  observeRouter?: (site: SiteShape, omega: Tensor2D) => void;
  /** called with x [tokens, in], A and z = concat_j(omega_j h) [tokens, N * r] of every site that runs, to calibrate an export */
  observeHeads?: (site: SiteShape, x: Tensor2D, a: Tensor2D, z: Tensor2D) => void;
  readonly #sites = new Map<string, Site>();
  /** by group and block */
  readonly #layers = new Map<string, LayerTensors>();
  readonly #groups: ReadonlySet<string>;
  readonly #hidden = new SharedHidden();
  #structure?: string;
  #dropped: DroppedHeads;

  /** A fresh adapter for a model with these sites; it changes nothing of what the model says. */
  constructor(modelSites: SiteShape[], options: AdapterOptions, seed: number) {
    this.options = options;
    this.#dropped = new DroppedHeads([], options, ALL_STAY);
    this.sites = adaptedSites(modelSites, options);
    this.heads = headNames(this.sites, options);
    this.#groups = new Set([
      ...[...this.sites, ...(options.whole ?? [])].map(({ group }) => group),
      ...this.sites.map(rowsOf),
    ]);
    this.tensors = adapterTensors(this.sites, options).map((spec) => fresh(spec, seed));
    this.trainables = this.tensors.filter((tensor): tensor is Trainable => !tensor.isFrozen);
    const byName = new Map(this.tensors.map((tensor) => [tensor.name, tensor]));
    this.sites.forEach((shape, index) => this.#addSite(shape, index * headsPerSite(options), byName, seed));
  }

  #addSite(shape: SiteShape, firstHead: number, tensors: Map<string, AdapterTensor>, seed: number): void {
    const { options } = this;
    const heads = headsPerSite(options);
    const layer = this.#layers.get(blockKey(shape)) ?? {};
    const names = siteTensors(shape, options);
    const local = { ...names };
    for (const [part, name] of Object.entries(names) as [SitePart, string][]) {
      local[part] = name.replace(inBlock(shape.block, ''), '');
      layer[local[part]] = tensors.get(name)!.variable;
    }
    tensors.get(names[methodOf(options).headsIn]!)!.firstHead = firstHead;
    const tap = names.router === undefined ? undefined : variableOf(tf.zeros<tf.Rank.R2>([1, heads]));
    const noise = options.dropout > 0 ? tf.keep(featureNoise(seed, shape)) : undefined;
    this.#layers.set(blockKey(shape), layer);
    this.#sites.set(key(shape), { shape, names: local, firstHead, tap, noise });
  }

  /**
   * The tensors block `layer` of a part of the model uses, by their names in the file without `layers.<i>.`; and a tap a site where its
   * share is wanted.
   */
  parameters(layer: number, group = LANGUAGE): LayerTensors {
    const tensors =
      group === LANGUAGE ? this.#taught(layer) : { ...this.#layers.get(blockKey({ group, block: layer })) };
    for (const { shape, tap } of this.#sites.values()) {
      const isHere = shape.block === layer && shape.group === group;
      if (isHere && tap && this.#rows(rowsOf(shape))?.shareWeight) tensors[tapName(shape)] = tap;
    }
    return tensors;
  }

  /** Whether anything of that part of the model, or anything that sees rows of that name, learns. */
  adapts(group: string): boolean {
    return this.#groups.has(group);
  }

  /** A tensor of the model that is trained whole, as it is now; undefined where that one is frozen. */
  whole(name: string): Tensor2D | undefined {
    return this.options.whole?.some((tensor) => tensor.name === name) ? this.#variable(name) : undefined;
  }

  #rows(name: string): RowInputs | undefined {
    return name === LANGUAGE ? this.step : this.step?.parts?.[name];
  }

  /** Its tensors; of those it shares with other layers, where it does not teach them, without a gradient. */
  #taught(layer: number): LayerTensors {
    const tensors = { ...this.#layers.get(blockKey({ group: LANGUAGE, block: layer })) };
    const teaches = this.step?.teaches && tf.slice(this.step.teaches, [layer], [1]);
    if (!teaches) return tensors;
    for (const [name, tensor] of Object.entries(tensors)) {
      if (name.startsWith('shared.')) tensors[name] = gradientTimes(tensor as Tensor2D, teaches);
    }
    return tensors;
  }

  /** As models/types.ts `Adaptation` has it: options and sites, and nothing that changes what `apply` does. */
  get structure(): string | undefined {
    if (!this.#dropped.isEmpty || this.observeRouter || this.step) return undefined;
    return (this.#structure ??= JSON.stringify([this.options, this.sites]));
  }

  /** The taps by site, in the order of `sites`; none for lora. */
  get taps(): tf.Variable<tf.Rank.R2>[] {
    return [...this.#sites.values()].flatMap(({ tap }) => tap ?? []);
  }

  /** x [tokens, in] as it lies in memory or not, y = W x + bias [tokens, out] -> adapted y. `weight` gives the frozen W [in, out] (DoRA). */
  apply(
    id: SiteId,
    x: Tensor2D | ImplicitRows,
    y: Tensor2D,
    parameters: LayerTensors,
    weight: () => Tensor2D,
    bias?: Tensor1D,
  ): Tensor2D {
    const site = this.#sites.get(key(id));
    if (!site) return y;
    const scale = scaleOf(this.options);
    const active = this.step?.active[site.firstHead / headsPerSite(this.options)];
    const h = this.#sharedHidden(site, x, parameters);
    return tf.tidy(() => {
      const { a, b } = this.#pair(site, parameters);
      const adapted =
        this.#isWhole(site) && !isImplicit(x)
          ? this.#mixedWhole(site, { x, y, a, b, scale }, parameters, active)
          : this.#mixedInParts(site, { x, y, a, b, h, scale }, parameters, active);
      if (!this.options.dora) return adapted;
      const magnitude = parameters[site.names.magnitude!] as Tensor2D;
      return decompose(adapted, magnitude, adaptedNorms(weight(), a, b, scale), bias);
    });
  }

  #pair({ names, shape }: Site, parameters: LayerTensors): LowRankPair {
    const parts = Object.entries(names).map(([part, name]) => [part, parameters[name]]);
    return methodOf(this.options).pair(Object.fromEntries(parts) as Record<SitePart, Tensor2D>, shape);
  }

  /** What a site multiplies with now: a [r, in] and b [N * r, out]. The caller disposes both. */
  pairOf(id: SiteId & { group: string }): LowRankPair {
    const site = this.#sites.get(key(id))!;
    return tf.tidy(() => {
      const { a, b } = this.#pair(site, this.parameters(id.block, id.group));
      return { a: tf.clone(a), b: tf.clone(b) } as LowRankPair & tf.TensorContainerObject;
    });
  }

  /** True where the engine has the whole site in one piece and nothing looks into it: no dropout, no drop, no observer. */
  #isWhole({ shape }: Site): boolean {
    const isOpen =
      this.observeRouter || this.observeHeads || this.#rows(rowsOf(shape))?.dropout || this.#dropped.maskOf(shape);
    return hasLowRank() && !isOpen;
  }

  #mixedWhole(
    { names, shape }: Site,
    inputs: Omit<LowRankInputs, 'router'>,
    parameters: LayerTensors,
    active?: Tensor1D,
  ): Tensor2D {
    // Without a router there is one head, whose weight is 1: softmax of a single number.
    const router = (names.router ? parameters[names.router] : tf.zeros([1, inputs.x.shape[1]])) as Tensor2D;
    const weight = this.#rows(rowsOf(shape))?.shareWeight;
    const share = weight && names.router !== undefined && { tap: parameters[tapName(shape)] as Tensor2D, weight };
    return lowRankMixture({ ...inputs, router }, { active, share: share || undefined });
  }

  #mixedInParts(site: Site, inputs: SiteInputs, parameters: LayerTensors, active?: Tensor1D): Tensor2D {
    const { x, y, a, b, scale } = inputs;
    const z = this.#weightedHeads(site, inputs, parameters);
    this.observeHeads?.(site.shape, isImplicit(x) ? x.written() : x, a, z);
    return productAdd(y, z, b, scale, active);
  }

  /** A x of a site with one head, which others that read x with the same A have, too; undefined where it is made on the way. */
  #sharedHidden(site: Site, x: Tensor2D | ImplicitRows, parameters: LayerTensors): Tensor2D | undefined {
    const { names, shape } = site;
    const isAlone = names.router !== undefined && headsPerSite(this.options) === 1;
    if (!isAlone || isImplicit(x) || this.#isWhole(site) || this.#rows(rowsOf(shape))?.dropout) return undefined;
    return this.#hidden.of(x, parameters[names.A!] as Tensor2D, parameters);
  }

  #weightedHeads({ names, shape, noise }: Site, { x, a, h }: SiteInputs, parameters: LayerTensors): Tensor2D {
    const { rank, heads, dropout: rate } = this.options;
    const { dropout: perRow, shareWeight: weight } = this.#rows(rowsOf(shape)) ?? {};
    const router = names.router === undefined ? undefined : (parameters[names.router] as Tensor2D);
    return weightedHeads(x, a, {
      ...{ rank, heads, router, h },
      dropped: perRow && noise ? dropout(x, rate, perRow, noise) : undefined,
      share: weight && router && { tap: parameters[tapName(shape)] as Tensor2D, weight },
      mask: this.#dropped.maskOf(shape),
      bias: this.#dropped.biasOf(shape),
      observe: this.observeRouter && ((omega) => this.observeRouter!(shape, omega)),
    });
  }

  /** The heads that are left out now. */
  get dropped(): Drop {
    return this.#dropped.drop;
  }

  /** Leaves heads out from now on; undefined brings all back. */
  drop(drop: Drop = ALL_STAY): void {
    this.#dropped.dispose();
    this.#dropped = new DroppedHeads(this.sites, this.options, drop);
  }

  /** DoRA's start: magnitude = ||W||, so that the fresh adapter changes nothing. `weight` gives a site's W [in, out]. */
  initialiseMagnitudes(weight: (site: SiteShape) => Tensor2D): void {
    if (!this.options.dora) return;
    for (const shape of this.sites) {
      const norms = tf.tidy(() => outputNorms(weight(shape)));
      this.#variable(siteTensors(shape, this.options).magnitude!).assign(norms);
      norms.dispose();
    }
  }

  /** The start of what is trained whole: as the model has it. `tensor` gives a copy of its numbers. */
  initialiseWhole(tensor: (name: string) => tf.Tensor): void {
    for (const { name } of this.options.whole ?? []) {
      const variable = this.#variable(name);
      tf.tidy(() => variable.assign(tf.reshape(tensor(name), variable.shape)));
    }
  }

  /** Every tensor in the file's names and shapes; to be read before the next step. */
  get held(): HeldTensor[] {
    return this.tensors.map(({ variable, ...spec }) => ({
      name: spec.name,
      shape: spec.shape,
      read: async () => inFile(spec, (await variable.data()) as Float32Array),
    }));
  }

  /** Every tensor as `held` has it, with its numbers. */
  export(): Promise<NamedTensor[]> {
    return Promise.all(this.held.map(async ({ name, shape, read }) => ({ name, shape, data: await read() })));
  }

  /** Takes tensors in the file's names and shapes; adapter-file.ts has checked them. Tensors not given stay as they are. */
  import(tensors: NamedTensor[]): void {
    const given = new Map(tensors.map((tensor) => [tensor.name, tensor.data]));
    for (const { variable, ...spec } of this.tensors) {
      const data = given.get(spec.name);
      if (!data) continue;
      const tensor = tf.tensor2d(inMemory(spec, data), variable.shape);
      variable.assign(tensor);
      tensor.dispose();
    }
  }

  dispose(): void {
    this.#dropped.dispose();
    for (const { variable } of this.tensors) variable.dispose();
    for (const { tap, noise } of this.#sites.values()) {
      tap?.dispose();
      noise?.dispose();
    }
  }

  #variable(name: string): tf.Variable<tf.Rank.R2> {
    return this.tensors.find((tensor) => tensor.name === name)!.variable;
  }
}

const blockKey = ({ group, block }: { group: string; block: number }) => `${block} ${group}`;

const tapName = ({ site }: { site: string }) => `${site}.share`;
