import type { AdapterOptions, SiteShape } from '../../src-main/effilora/types.ts';

/** Two layers of a tiny decoder: widths 6 and 8, two sites of the first width and one of the second. */
export const sites: SiteShape[] = [0, 1].flatMap((layer) => [
  { layer, site: 'q_proj', inFeatures: 6, outFeatures: 6 },
  { layer, site: 'v_proj', inFeatures: 6, outFeatures: 4 },
  { layer, site: 'down_proj', inFeatures: 8, outFeatures: 6 },
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
