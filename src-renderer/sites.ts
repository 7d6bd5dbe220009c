/** What the page calls a site, everywhere: a recipe's q_proj is q. */
export const siteName = (site: string): string => site.replace('_proj', '');

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
