import type { ModelFile } from './types.ts';
import { connectorTensors, seeingSites } from './vision/towers/sites.ts';
import { modelSites } from './weights.ts';

/** Everything of a model's file that can be adapted, or trained whole, as its opened model has it. */
export function sitesOfFile({ config, sees }: Pick<ModelFile, 'config' | 'sees'>) {
  return {
    sites: [...modelSites(config), ...(sees ? seeingSites(sees.config) : [])],
    whole: sees ? connectorTensors(sees.config) : [],
  };
}
