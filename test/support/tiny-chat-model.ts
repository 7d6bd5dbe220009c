import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { uniform } from '../../src-main/effilora/random.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import { TINY_MODEL } from '../trainer/support.ts';

const TOKENIZER = join(TINY_MODEL, '..', 'tokenizer');
const [VOCABULARY, CONTEXT, END] = [345, 8192, 1];

/**
 * A random llama of 2 layers that reads and writes text: the tokenizer of test/models/data, with its chat template.
 * An endless one never finds its end token the likeliest, so at temperature 0 it goes on until it is stopped.
 */
export function writeTinyChatModel(folder: string, { endless = false } = {}): string {
  mkdirSync(folder, { recursive: true });
  cpSync(TOKENIZER, folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(TINY_MODEL, 'config.json'), 'utf8')) as Record<string, number>;
  Object.assign(config, {
    vocab_size: VOCABULARY,
    max_position_embeddings: CONTEXT,
    bos_token_id: 0,
    eos_token_id: END,
  });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const { hidden_size: hidden, intermediate_size: inner, head_dim: head } = config as Record<string, number>;
  const [query, key] = [config['num_attention_heads']! * head!, config['num_key_value_heads']! * head!];
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [VOCABULARY, hidden!] };
  for (const layer of [0, 1]) {
    const at = (name: string) => `model.layers.${layer}.${name}.weight`;
    Object.assign(shapes, {
      [at('self_attn.q_proj')]: [query, hidden],
      [at('self_attn.k_proj')]: [key, hidden],
      [at('self_attn.v_proj')]: [key, hidden],
      [at('self_attn.o_proj')]: [hidden, query],
      [at('mlp.gate_proj')]: [inner, hidden],
      [at('mlp.up_proj')]: [inner, hidden],
      [at('mlp.down_proj')]: [hidden, inner],
      [at('input_layernorm')]: [hidden],
      [at('post_attention_layernorm')]: [hidden],
    });
  }
  shapes['model.norm.weight'] = [hidden!];
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const data = shape.length === 1 ? new Float32Array(size).fill(1) : uniform(7, name, size, -0.5, 0.5);
    // A token's logit is its row times the hidden state; the likeliest token's is above 0.
    if (endless && name === 'model.embed_tokens.weight') data.fill(0, END * hidden!, (END + 1) * hidden!);
    return { name, shape, data, dtype: 'F32' as const };
  });
  writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(tensors));
  return folder;
}
