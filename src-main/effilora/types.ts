import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** Terms and names: docs/method.md, Terms. Nothing here knows of files, processes or windows. */

/** One linear or convolution of the base model that can be adapted: all that an adapter knows of a model. */
export interface SiteShape {
  /** where it lies in the model, by Hugging Face's names, e.g. `model.layers.0.self_attn.q_proj` */
  path: string;
  /** the block it belongs to, counted through its part of the model in the order of the forward pass */
  block: number;
  /** its name inside the block, e.g. `q_proj`; of what no language model has, with the part's name before it: `tower.q_proj` */
  site: string;
  /** part of the model, e.g. `language`: A is shared inside one, never across */
  group: string;
  kind: 'linear' | 'conv';
  /** conv: the numbers that the filter sees at a place, kernel * kernel * channels: row by row of the filter, channels last */
  inFeatures: number;
  outFeatures: number;
  /** conv: the filter's width and height */
  kernel?: number;
  /** context: its input comes from elsewhere than the block, as the keys of a cross-attention do */
  reads: 'self' | 'context';
  /** of a part whose linears see rows of several kinds (the pixels of each level of a UNet, the tokens of its text): which; default: the part's own */
  rows?: string;
}

export type MethodName = 'lora' | 'hydralora' | 'effilora' | 'adalora' | 'vera';

/** A tensor of the base model that is trained itself, whole: the adapter holds its new numbers. */
export interface WholeTensor {
  /** as the model calls it, e.g. `connector.linear_1.weight` */
  name: string;
  shape: number[];
  /** part of the model that it belongs to, e.g. `connector` */
  group: string;
}

/** Structure of an adapter: everything that fixes its tensors' names and shapes and its forward pass. */
export interface AdapterOptions {
  name: MethodName;
  rank: number;
  /** N, B heads a site (1 without a router) */
  heads: number;
  /** scale = alpha / rank, or alpha / sqrt(rank) with rsLora */
  alpha: number;
  targets: string[];
  /** `<layer>.<site>` where only some of the targets' sites are adapted; undefined: in every layer */
  sites?: string[];
  /** what is trained whole beside the sites; undefined: nothing */
  whole?: WholeTensor[];
  /** global: one A per input width; module: one A per site name */
  share: 'global' | 'module';
  /** site: a router per site; layer: one per layer and input width */
  router: 'site' | 'layer';
  /** on x before A only, while training */
  dropout: number;
  rsLora: boolean;
  dora: boolean;
  /** of vera: what each number of d begins with */
  vera?: { dInitial: number };
}

export interface ReducerOptions {
  /** share of all heads to freeze */
  ratio: number;
  warmup: number;
  interval: number;
  beta: number;
  policy: 'topk' | 'sample' | 'prefix';
  temperature: number;
  /** prefix: most of the summed importance that the frozen layers may have; default 0.5 */
  importanceAtMost?: number;
  schedule: 'step' | 'cubic';
  /** cubic: the step at which `ratio` is reached */
  finalStep?: number;
  probe: boolean;
  minActivePerSite: number;
  /** performance constraint: undo a selection when smoothed held-out loss rises by more than this */
  tolerance?: number;
  seed: number;
}

/** `<layer>.<site>.<head>` */
export type HeadName = string;

/** The tensors of one layer by name; the same names in every layer. */
export type LayerTensors = Record<string, Tensor2D | Tensor3D>;

/** A tensor on the host under its name and shape in `adapter.safetensors`. */
export interface NamedTensor {
  name: string;
  shape: number[];
  data: Float32Array;
}

/** A tensor that is kept on the engine; its numbers come when their turn to be written comes, so that memory holds few at a time. */
export interface HeldTensor {
  name: string;
  shape: number[];
  /** not to be changed */
  read(): Promise<Float32Array>;
}

/** What a step feeds in for the rows that the linears of one part of the model see. */
export interface RowInputs {
  /** [rows, 1]: 1 / (the step's real rows) at real ones, 0 at padding; undefined: no router share wanted */
  shareWeight?: Tensor2D;
  /** [rows, 1], see dropout.ts; undefined: no dropout */
  dropout?: Tensor2D;
}

/** What one training step feeds into the adapter: small tensors, so that a captured step stays valid when they change. */
export interface StepInputs extends RowInputs {
  /** per adapted site [N]: 1 where a head's gradient is computed, 0 where it costs nothing and is zero */
  active: Tensor1D[];
  /** the same for the rows of other parts than the language model, by their name (`rowsOf`); a part that does not run has none */
  parts?: Record<string, RowInputs>;
  /** [layers of the model]: 1 where a layer teaches the tensors it shares with others, 0 where it is only observed; undefined: all teach */
  teaches?: Tensor1D;
}
