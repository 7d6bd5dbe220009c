/** One configuration of our side of the benchmark. */
export interface OurOptions {
  model: string;
  precision: 'f32' | 'bf16';
  rows: number;
  length: number;
  rank: number;
  heads: number;
  /** share of the heads that are frozen after the first step */
  frozen: number;
  recompute: boolean;
  threads: number;
}

/** One configuration of PyTorch's side. */
export interface PeerOptions {
  config: Record<string, number | boolean>;
  precision: 'f32' | 'bf16';
  rows: number;
  length: number;
  rank: number;
  checkpointing: boolean;
  compile: boolean;
  threads: number;
}
