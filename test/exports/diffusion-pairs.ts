import { uniform } from '../../src-main/effilora/random.ts';
import type { LoraPair } from '../../src-main/exports/diffusion/pairs.ts';
import { COMPONENTS, type LoraPlaces } from '../../src-main/exports/diffusion/places.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';

/** A pair at every place of a model. Where the rank differs, the scale does as well. */
export function randomPairs({ adapted }: LoraPlaces, dora = false, bound = 0.7): LoraPair[] {
  return adapted.map((place, i) => {
    const rank = !dora && place.path.endsWith('to_q') ? 3 : 2;
    const numbers = (name: string, size: number, low: number, high: number) => uniform(i, name, size, low, high);
    return {
      ...{ place, rank, alpha: 1.5 },
      a: numbers('a', rank * place.inFeatures, -bound, bound),
      b: numbers('b', rank * place.outFeatures, -bound, bound),
      ...(dora && { magnitude: numbers('magnitude', place.outFeatures, 0.5, 1.5) }),
    };
  });
}

/** The same pairs under plain names, for Python to add to the weights by hand. */
export const plainly = (pairs: LoraPair[]): Uint8Array =>
  encodeSafetensors(
    pairs.flatMap(({ place, rank, alpha, a, b, magnitude }) => {
      const tensor = (part: string, shape: number[], data: Float32Array) => ({
        ...{ name: `${COMPONENTS[place.group]}.${place.path}.${part}`, dtype: 'F32' as const, shape, data },
      });
      return [
        tensor('A', [rank, place.inFeatures], a),
        tensor('B', [place.outFeatures, rank], b),
        tensor('alpha', [], Float32Array.of(alpha)),
        ...(magnitude ? [tensor('magnitude', [place.outFeatures], magnitude)] : []),
      ];
    }),
  );
