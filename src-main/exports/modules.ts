const ATTENTION = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];

/** Where a linear lies by Hugging Face's names: `model.layers.<i>.self_attn.<site>` or `model.layers.<i>.mlp.<site>`. */
export function huggingFaceModule(layer: string | number, site: string): string {
  return `model.layers.${layer}.${ATTENTION.includes(site) ? 'self_attn' : 'mlp'}.${site}`;
}
