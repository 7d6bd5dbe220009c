import { UserError } from '../engine/types.ts';
import type { ModelConfig } from './types.ts';

const TOP = ['model.embed_tokens.weight', 'model.norm.weight', 'lm_head.weight'];
const LAYER = /^model\.layers\.(\d+)\.(.+)$/;

/**
 * Checks that a model has a place for a tensor: without it, it would be another model.
 * @param name by Hugging Face's names
 * @param inFile the file's own name for it
 * @throws UserError
 */
export function checkTensorName(name: string | undefined, inFile: string, config: ModelConfig, file: string): void {
  if (name !== undefined && TOP.includes(name)) return;
  const [, layer, part] = LAYER.exec(name ?? '') ?? [];
  const shown = `${file} holds "${inFile.slice(0, 120)}"`;
  if (!part || !partsOfLayer(config).includes(part))
    throw new UserError(
      `${shown}, which a model of the kind ${config.architecture} with this configuration doesn't have; it can't be run as it is meant`,
    );
  if (Number(layer) >= config.layers)
    throw new UserError(`${shown}, and its configuration says ${config.layers} layers; fetch it again`);
}

function partsOfLayer({ attentionBias, mlpBias, queryKeyNorm, gemmaNorms }: ModelConfig): string[] {
  const parts = ['input_layernorm.weight', 'post_attention_layernorm.weight'];
  const linear = (name: string, biased: boolean) => parts.push(`${name}.weight`, ...(biased ? [`${name}.bias`] : []));
  for (const site of ['q_proj', 'k_proj', 'v_proj', 'o_proj'])
    linear(`self_attn.${site}`, attentionBias === 'all' || (attentionBias === 'qkv' && site !== 'o_proj'));
  for (const site of ['gate_proj', 'up_proj', 'down_proj']) linear(`mlp.${site}`, mlpBias);
  if (queryKeyNorm) parts.push('self_attn.q_norm.weight', 'self_attn.k_norm.weight');
  if (gemmaNorms) parts.push('pre_feedforward_layernorm.weight', 'post_feedforward_layernorm.weight');
  return parts;
}
