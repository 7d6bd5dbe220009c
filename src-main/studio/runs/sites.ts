/** METHOD.md's site order, for laying out heads. Other families' sites follow in the order of their names. */
export const SITE_ORDER = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
