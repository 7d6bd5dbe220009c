import type { HeadName, SiteShape } from './types.ts';

/** Names are put together and taken apart here alone (docs/method.md, Adapter file). A site's own name may have dots in it. */

/** One adapted linear of a model, as names say it. */
export type SiteId = Pick<SiteShape, 'block' | 'site'>;

/** The name of the rows that a site sees: those of its part, unless the part has several kinds. */
export const rowsOf = ({ rows, group }: Pick<SiteShape, 'rows' | 'group'>): string => rows ?? group;

export interface HeadId extends SiteId {
  head: number;
}

/** The parts of a tensor that belongs to one site. */
export type SitePart = 'A' | 'B' | 'router' | 'magnitude' | 'lambda' | 'lambda_d' | 'lambda_b';

/** `<block>.<site>` */
export const siteName = ({ block, site }: SiteId): string => `${block}.${site}`;

/** `<block>.<site>.<head>` */
export const headName = (id: HeadId): HeadName => `${siteName(id)}.${id.head}`;

/** `layers.<block>.<site>.<part>` */
export const siteTensor = (id: SiteId, part: SitePart): string => inBlock(id.block, `${id.site}.${part}`);

/** `layers.<block>.<name>`: a tensor that belongs to one block. */
export const inBlock = (block: number, name: string): string => `layers.${block}.${name}`;

/** The other way of `siteName`; undefined for what is no such name. */
export function readSiteName(name: string): SiteId | undefined {
  const [, block, site] = /^(\d{1,9})\.(.+)$/s.exec(name) ?? [];
  return site === undefined ? undefined : { block: Number(block), site };
}

/** The other way of `headName`; undefined for what is no such name. */
export function readHeadName(name: HeadName): HeadId | undefined {
  const [, block, site, head] = /^(\d{1,9})\.(.+)\.(\d{1,9})$/s.exec(name) ?? [];
  return head === undefined ? undefined : { block: Number(block), site: site!, head: Number(head) };
}

/** The other way of `siteTensor`; undefined for tensors that several sites share. */
export function readSiteTensor(name: string): (SiteId & { part: SitePart }) | undefined {
  const [, block, site, part] =
    /^layers\.(\d{1,9})\.(.+)\.(A|B|router|magnitude|lambda|lambda_d|lambda_b)$/s.exec(name) ?? [];
  return part === undefined ? undefined : { block: Number(block), site: site!, part: part as SitePart };
}
