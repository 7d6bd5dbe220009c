import type { SafetensorsEntry } from '../../safetensors.ts';
import type { TensorInfo } from '../../types.ts';

/** Names of one form: a tower's begin with `tower.`, its connector's with `connector.`; others belong to the language model. */
const canonicalName = (name: string) =>
  name
    .replace(/^(model\.)?(vision_tower|vision_model)\.(vision_model\.)?/, 'tower.')
    .replace(/^(model\.)?(multi_modal_projector|connector)\./, 'connector.')
    .replace(/^(model\.)?visual\./, 'tower.');

/** A tensor's name in one form where it is of a tower or connector. */
export function visionName({ name }: SafetensorsEntry): string | undefined {
  const ours = canonicalName(name);
  return /^(tower|connector)\./.test(ours) ? ours : undefined;
}

/** What a file may hold that no features are made of: SigLIP's head, positions that are counted, what lies above the layer that is taken. */
export const isUnused = (name: string, layers: number) =>
  /^tower\.(head\.|embeddings\.position_ids$|post_layernorm\.)/.test(name) ||
  Number(/^tower\.encoder\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers;

/**
 * Whether a folder's tensor stays in half precision where the engine has products for that: the matrices of the tower's layers and of the
 * connector, which are most of it. In f32 one is as large packed.
 */
export const staysInHalf = ({ name, type, shape }: Pick<TensorInfo, 'name' | 'type' | 'shape'>): boolean =>
  /^(tower\.(encoder\.layers|blocks)|connector)\..*\.weight$/.test(name) &&
  shape.length === 2 &&
  ['f16', 'bf16'].includes(type);
