import type { AdapterOptions, SiteShape } from '../../src-main/effilora/types.ts';

/** A linear of a language model's block, but for its widths. */
export const linear = (block: number, site: string): Omit<SiteShape, 'inFeatures' | 'outFeatures'> => {
  const path = `model.layers.${block}.${site}`;
  return { path, block, site, group: 'language', kind: 'linear', reads: 'self' };
};

/** Two layers of a tiny decoder: widths 6 and 8, two sites of the first width and one of the second. */
export const sites: SiteShape[] = [0, 1].flatMap((block) => [
  { ...linear(block, 'q_proj'), inFeatures: 6, outFeatures: 6 },
  { ...linear(block, 'v_proj'), inFeatures: 6, outFeatures: 4 },
  { ...linear(block, 'down_proj'), inFeatures: 8, outFeatures: 6 },
]);

export function options(changes: Partial<AdapterOptions> = {}): AdapterOptions {
  return {
    name: 'effilora',
    rank: 2,
    heads: 3,
    alpha: 4,
    targets: ['q_proj', 'v_proj', 'down_proj'],
    share: 'global',
    router: 'site',
    dropout: 0,
    rsLora: false,
    dora: false,
    ...changes,
  };
}
