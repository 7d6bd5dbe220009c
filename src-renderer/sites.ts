/** Of a network that makes pictures: what attends to the picture itself, and what attends to the text. */
const ATTENDS: Record<string, string> = { '1': 'self', '2': 'cross' };

/** What the page calls a site, everywhere: a recipe's q_proj is q, unet.attn2.to_q is cross q. */
export const siteName = (site: string): string =>
  site
    .replace(/^(?:unet|transformer)\./, '')
    .replace(/^attn([12])\.to_(\w+)(?:\.0)?$/, (_, which: string, part: string) => `${ATTENDS[which]} ${part}`)
    .replace('_proj', '');

/** What a head's name says; a site's own name may have dots in it. */
export function readHeadName(name: string): { layer: number; site: string; head: number } {
  const [, layer, site = '', head] = /^(\d+)\.(.+)\.(\d+)$/s.exec(name) ?? [];
  return { layer: Number(layer ?? 0), site, head: Number(head ?? 0) };
}

/** 3.q_proj.1 -> "layer 3, q, head 1" */
export function headName(name: string): string {
  const { layer, site, head } = readHeadName(name);
  return `layer ${layer}, ${siteName(site)}, head ${head}`;
}
