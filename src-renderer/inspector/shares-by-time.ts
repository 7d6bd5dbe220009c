import type { SharesByTime } from '../../src-preload/contract/index.ts';
import { percent } from '../format.ts';
import { siteName } from '../sites.ts';

/** A place with the router's shares over the time of noise. */
export interface PlaceByTime {
  /** as people are told it */
  name: string;
  /** how much the share of a head differs at most from one part of the time to another */
  change: number;
  shares: number[][];
}

/** The places, those first where the time changes most; of all attention, or of what else there is, as they are called. */
export function placesByTime({ places, blocks }: SharesByTime): PlaceByTime[] {
  return places
    .map(({ block, site, shares }) => {
      const where = blocks?.[block] ? `layer ${block} (${blocks[block]})` : `layer ${block}`;
      return { name: `${where}, ${siteName(site)}`, change: largestChange(shares), shares };
    })
    .sort((a, b) => b.change - a.change);
}

/** [part][head] -> the most that a head's share lies apart between two parts. */
function largestChange(shares: number[][]): number {
  const heads = shares[0]?.length ?? 0;
  const ofHead = (head: number) => shares.map((part) => part[head]!);
  return Math.max(
    0,
    ...Array.from({ length: heads }, (_, head) => Math.max(...ofHead(head)) - Math.min(...ofHead(head))),
  );
}

/** What a part of the time is called: how much of the time of noise it is, in plain words at its ends. */
export function partName(part: number, parts: number): string {
  const span = `${percent(part / parts)} – ${percent((part + 1) / parts)}`;
  if (part === 0) return `${span}, nearly clean`;
  return part === parts - 1 ? `${span}, nothing but noise` : span;
}
