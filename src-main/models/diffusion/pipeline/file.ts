import type { TensorInfo } from '../../types.ts';
import type { FlowTransformerConfig } from '../flow/config.ts';
import type { PromptPart } from '../flow/texts.ts';
import type { NoiseConfig } from '../noise/config.ts';
import type { DiffusionSource } from '../source.ts';
import type { TextConfig } from '../text/config.ts';
import type { ClipTokenizer } from '../text/tokenizer.ts';
import type { UNetConfig } from '../unet/config.ts';
import type { VaeConfig } from '../vae/config.ts';

/** What a diffusion model is made of. `text_2` is SDXL's; a flow has a transformer in the place of a UNet. */
export const PARTS = ['unet', 'transformer', 'vae', 'text', 'text_2'] as const;
export type PartName = (typeof PARTS)[number];

/** A text encoder with its tokenizer. */
export interface TextPart {
  group: 'text' | 'text_2';
  config: TextConfig;
  tokenizer: ClipTokenizer;
}

/** What is known of a diffusion model on disk whatever takes the noise out: configurations and headers read and checked, nothing large in memory yet. */
interface PipelineFile {
  path: string;
  name: string;
  vae: VaeConfig;
  noise: NoiseConfig;
  /** of each part, by the names that diffusers and transformers have for them */
  tensors: Partial<Record<PartName, TensorInfo[]>>;
  /** bytes of all files */
  byteLength: number;
  /** SHA-256 (hex) over the sorted weight files' hashes. Cached by path, size and mtime. */
  sha256(): Promise<string>;
  /** a part's tensors; close it, or give it to what loads them. @throws UserError */
  source(part: PartName): Promise<DiffusionSource>;
}

/** Stable Diffusion: a UNet that reads what CLIP makes of texts. */
export interface UNetFile extends PipelineFile {
  /** `sdxl`: two text encoders, and sizes beside the text */
  kind: 'sd' | 'sdxl';
  unet: UNetConfig;
  texts: TextPart[];
  /** an empty negative prompt is zeros, not what the encoders make of no text */
  isEmptyZero: boolean;
}

/** A flow: a transformer that reads what a language model makes of texts. */
export interface FlowFile extends PipelineFile {
  kind: 'z-image';
  transformer: FlowTransformerConfig;
  prompt: PromptPart;
}

/** A diffusion model as it lies on disk, opened. */
export type DiffusionFile = UNetFile | FlowFile;
