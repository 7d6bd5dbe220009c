import { normals, type Place } from './noise/draws.ts';

/** What a VAE's latents are like. */
export interface LatentForm {
  channels: number;
  /** latents as the network takes them are (latents - shift) * scale */
  scale: number;
  shift: number;
}

/** Beyond it a deviation is no number worth having (DiagonalGaussianDistribution). */
const LOG_VARIANCE = { least: -30, most: 20 };

/**
 * Latents as the network takes them, from what the VAE says of a picture: its mean and the logarithm of its variance,
 * [height, width, 2 * channels].
 * @param place where the deviation from the mean is drawn; undefined: the mean itself
 * @returns [height, width, channels]
 */
export function latentsOf(moments: Float32Array, { channels, scale, shift }: LatentForm, place?: Place): Float32Array {
  const drawn = place && normals(place, 'latents', moments.length / 2);
  return Float32Array.from({ length: moments.length / 2 }, (_, i) => {
    const at = Math.floor(i / channels) * 2 * channels + (i % channels);
    const logVariance = Math.min(LOG_VARIANCE.most, Math.max(LOG_VARIANCE.least, moments[at + channels]!));
    const deviation = drawn ? Math.exp(logVariance / 2) * drawn[i]! : 0;
    return (moments[at]! + deviation - shift) * scale;
  });
}
