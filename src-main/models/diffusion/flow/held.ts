import type { TensorInfo } from '../../types.ts';
import type { FlowFile, PartName } from '../pipeline/file.ts';

/**
 * How a flow holds a tensor that can't be adapted: as those that can (`held`), in f32, or not at all (`left`): of its language model all
 * matrices, but neither the last layer nor a head, which are never run; of its transformer what is large.
 */
export function heldInFlow(
  { prompt }: Pick<FlowFile, 'prompt'>,
  part: PartName,
  { name, shape }: Pick<TensorInfo, 'name' | 'shape'>,
): 'held' | 'f32' | 'left' {
  if (part === 'text') {
    if (name.startsWith(`model.layers.${prompt.config.layers - 1}.`) || name.startsWith('lm_head.')) return 'left';
    return shape.length === 2 ? 'held' : 'f32';
  }
  return /\.adaLN_modulation\.0\.weight$|^cap_embedder\.1\.weight$/.test(name) && part === 'transformer'
    ? 'held'
    : 'f32';
}
