import type { UNetFile } from '../../models/diffusion/pipeline/file.ts';
import { PREDICTION_METADATA } from '../../models/diffusion/single/open.ts';

/** Features of a token in Stable Diffusion 2, by which it is told from the first. */
const CONTEXT_OF_2 = 1024;

/** What kind of model it is, as other programs' headers say it. */
export interface Modelspec {
  isXl: boolean;
  isSecond: boolean;
  isVelocity: boolean;
  /** `stable-diffusion-v1` */
  architecture: string;
  /** the header's own lines */
  metadata: Record<string, string>;
}

/** The words that Stability AI's modelspec has for a Stable Diffusion. */
export function modelspecOf(base: Pick<UNetFile, 'kind' | 'unet' | 'noise'>): Modelspec {
  const isXl = base.kind === 'sdxl';
  const isSecond = !isXl && base.unet.contextWidth === CONTEXT_OF_2;
  const isVelocity = base.noise.prediction === 'v_prediction';
  const first = `stable-diffusion-v${isSecond ? (isVelocity ? '2-768-v' : '2-512') : '1'}`;
  return {
    ...{ isXl, isSecond, isVelocity, architecture: isXl ? 'stable-diffusion-xl-v1-base' : first },
    metadata: {
      'modelspec.implementation': isXl ? 'https://github.com/Stability-AI/generative-models' : 'diffusers',
      [PREDICTION_METADATA]: isVelocity ? 'v' : 'epsilon',
    },
  };
}
