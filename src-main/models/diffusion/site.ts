import type { Adaptation, SiteId } from '../types.ts';

/** The parts of a diffusion model that can be adapted: A is shared inside one, never across. */
export type DiffusionPart = 'unet' | 'transformer' | 'text' | 'text_2';

/** Which linear of a diffusion model it is, as adapters name it: `unet.attn1.to_q` of block 3. */
export interface DiffusionSite extends SiteId {
  group: DiffusionPart;
}

/** What an adapter knows of one. */
export interface DiffusionSiteShape extends DiffusionSite {
  /** in its part, as diffusers or transformers has it: `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q` */
  path: string;
  kind: 'linear' | 'conv';
  /** conv: kernel * kernel * channels */
  inFeatures: number;
  outFeatures: number;
  /** conv: width and height of its filter */
  kernel?: number;
  reads: 'self' | 'context';
  /** which rows of its part it sees, where the part has several kinds and names them itself */
  rows?: string;
}

/** How rows go through a part of a diffusion model: with what is adapted, and how much is kept for backward. */
export interface DiffusionPass {
  adaptation?: Adaptation;
  /** keep only what goes into each block for backward, which runs it again */
  recompute?: boolean;
}
