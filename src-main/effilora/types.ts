/** Terms, names and defaults: METHOD.md. Nothing here knows of files, processes or windows. */

/** One adapted linear of the base model. */
export interface SiteShape {
  layer: number;
  site: string;
  inFeatures: number;
  outFeatures: number;
}

export type MethodName = 'lora' | 'hydralora' | 'effilora';

/** Structure of an adapter: everything that fixes its tensors' names and shapes and its forward pass. */
export interface AdapterOptions {
  name: MethodName;
  rank: number;
  /** N, B heads a site (1 for lora) */
  heads: number;
  /** scale = alpha / rank, or alpha / sqrt(rank) with rsLora */
  alpha: number;
  targets: string[];
  /** global: one A per input width; module: one A per site name */
  share: 'global' | 'module';
  /** site: a router per site; layer: one per layer and input width */
  router: 'site' | 'layer';
  /** on x before A only, while training */
  dropout: number;
  rsLora: boolean;
  dora: boolean;
}

export interface ReducerOptions {
  /** share of all heads to freeze */
  ratio: number;
  warmup: number;
  interval: number;
  beta: number;
  policy: 'topk' | 'sample';
  temperature: number;
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
