/** What the page calls a site, everywhere: a recipe's q_proj is q. */
export const siteName = (site: string): string => site.replace('_proj', '');

/** 3.q_proj.1 -> "layer 3, q, head 1" */
export function headName(name: string): string {
  const [layer, site, head] = name.split('.') as [string, string, string];
  return `layer ${layer}, ${siteName(site)}, head ${head}`;
}
