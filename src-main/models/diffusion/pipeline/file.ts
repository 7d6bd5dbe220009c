import type { TensorInfo } from '../../types.ts';
import type { NoiseConfig } from '../noise/config.ts';
import type { DiffusionSource } from '../source.ts';
import type { TextConfig } from '../text/config.ts';
import type { ClipTokenizer } from '../text/tokenizer.ts';
import type { UNetConfig } from '../unet/config.ts';
import type { VaeConfig } from '../vae/config.ts';

/** What a diffusion model is made of. `text_2` is SDXL's. */
export const PARTS = ['unet', 'vae', 'text', 'text_2'] as const;
export type PartName = (typeof PARTS)[number];

/** A text encoder with its tokenizer. */
export interface TextPart {
  group: 'text' | 'text_2';
  config: TextConfig;
  tokenizer: ClipTokenizer;
}

/** A diffusion model as it lies on disk, opened: configurations and headers read and checked, nothing large in memory yet. */
export interface DiffusionFile {
  path: string;
  name: string;
  /** `sdxl`: two text encoders, and sizes beside the text */
  kind: 'sd' | 'sdxl';
  unet: UNetConfig;
  vae: VaeConfig;
  texts: TextPart[];
  noise: NoiseConfig;
  /** an empty negative prompt is zeros, not what the encoders make of no text */
  isEmptyZero: boolean;
  /** of each part, by the names that diffusers and transformers have for them */
  tensors: Partial<Record<PartName, TensorInfo[]>>;
  /** bytes of all files */
  byteLength: number;
  /** SHA-256 (hex) over the sorted weight files' hashes. Cached by path, size and mtime. */
  sha256(): Promise<string>;
  /** a part's tensors; close it, or give it to what loads them. @throws UserError */
  source(part: PartName): Promise<DiffusionSource>;
}
