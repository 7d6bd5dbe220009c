import type { ModelConfig } from '../types.ts';

/** GGUF tensor name -> Hugging Face name, per block (llama.cpp, gguf-py/tensor_mapping.py). */
const BLOCK: Record<string, string> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** Gemma 3 has a norm before and after both attention and MLP. */
const GEMMA_BLOCK: Record<string, string> = {
  ...BLOCK,
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

const TOP: Record<string, string> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

/** The Hugging Face name of a GGUF tensor; undefined for one that has none (rope_freqs.weight). */
export function huggingFaceName(name: string, gemma: boolean): string | undefined {
  const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (layer) {
    const found = (gemma ? GEMMA_BLOCK : BLOCK)[part!];
    return found && `model.layers.${layer}.${found}.${kind}`;
  }
  const [, top, topKind] = /^(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const found = top && TOP[top];
  return found && `${found}.${topKind}`;
}

/** Divisors of RoPE's frequencies, which belong to the configuration. */
export const isRopeTensor = (name: string) =>
  ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'].includes(name);

/** The other way: the GGUF name of a Hugging Face tensor; undefined for one that has none. */
export function ggufName(name: string, gemma: boolean): string | undefined {
  const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  const [, top, topKind] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  const found = layer ? keyOf(gemma ? GEMMA_BLOCK : BLOCK, part!) : top && keyOf(TOP, top);
  return found && (layer ? `blk.${layer}.${found}.${kind}` : `${found}.${topKind}`);
}

const keyOf = (names: Record<string, string>, value: string) => Object.keys(names).find((key) => names[key] === value);

/**
 * llama.cpp's converter interleaves the two halves of each q and k head for its RoPE; this gives the file's row for each
 * Hugging Face row: (head, half p, k) lies at (head, k, p).
 */
export function unpermuteRows(rows: number, heads: number): Int32Array {
  const headSize = rows / heads;
  const half = headSize / 2;
  return Int32Array.from({ length: rows }, (_, row) => {
    const inHead = row % headSize;
    return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
  });
}

/** The other way: the Hugging Face row for each of the file's. */
export function permuteRows(rows: number, heads: number): Int32Array {
  const out = new Int32Array(rows);
  unpermuteRows(rows, heads).forEach((from, to) => (out[from] = to));
  return out;
}

/** Heads of a linear whose rows the converter interleaves: q and k of the llama architecture. */
export function permutedHeads(name: string, config: ModelConfig): number | undefined {
  if (config.architecture !== 'llama') return undefined;
  if (/self_attn\.q_proj\.(weight|bias)$/.test(name)) return config.attentionHeads;
  return /self_attn\.k_proj\.(weight|bias)$/.test(name) ? config.keyValueHeads : undefined;
}
