import { UserError } from '../../../engine/types.ts';
import { roundedToEven } from '../../rounding.ts';
import type { Grid, Tiling } from './options.ts';

export interface Size {
  width: number;
  height: number;
}

/** No edge grows longer than this, whatever a processor's file says (Idefics3's own bound). */
const LONGEST = 4096;

const even = (length: number) => length + (length % 2);

/** Idefics3: the picture at its longest edge, then at whole tiles. */
export function tiledSizes(picture: Size, { longestEdge, tile }: Tiling): { first: Size; whole: Size } {
  const first = atMost(atLongest(picture, longestEdge), LONGEST);
  const { width, height } = first;
  const ratio = width / height;
  const tiles = (length: number) => Math.ceil(length / tile) * tile;
  const whole =
    width >= height
      ? { width: tiles(width), height: tiles(Math.trunc(tiles(width) / ratio)) }
      : { height: tiles(height), width: tiles(Math.trunc(tiles(height) * ratio)) };
  return { first, whole };
}

function atLongest({ width, height }: Size, longest: number): Size {
  const ratio = width / height;
  return width >= height
    ? { width: longest, height: Math.max(1, even(Math.trunc(longest / ratio))) }
    : { height: longest, width: Math.max(1, even(Math.trunc(longest * ratio))) };
}

function atMost({ width, height }: Size, longest: number): Size {
  const ratio = width / height;
  if (Math.max(width, height) <= longest) return { width, height };
  return width >= height
    ? { width: longest, height: Math.max(1, Math.trunc(longest / ratio)) }
    : { height: longest, width: Math.max(1, Math.trunc(longest * ratio)) };
}

/** CLIP: the shorter edge is made `edge`, the other follows. */
export function shortestEdgeSize({ width, height }: Size, edge: number): Size {
  return width <= height
    ? { width: edge, height: Math.trunc((edge * height) / width) }
    : { height: edge, width: Math.trunc((edge * width) / height) };
}

/** Qwen's smart_resize. @throws UserError for a picture more than 200 times as long as wide, as transformers does */
export function gridSize({ width, height }: Size, { patch, merge, leastPixels, mostPixels }: Grid, name: string): Size {
  if (Math.max(width, height) / Math.min(width, height) > 200)
    throw new UserError(
      `${name} has ${width} x ${height} pixels; this model takes pictures of which no side is more than 200 times the other, cut it`,
    );
  const factor = patch * merge;
  const rounded = { width: roundedToEven(width / factor) * factor, height: roundedToEven(height / factor) * factor };
  if (rounded.width * rounded.height > mostPixels) {
    const shrink = Math.sqrt((height * width) / mostPixels);
    const down = (length: number) => Math.max(factor, Math.floor(length / shrink / factor) * factor);
    return { width: down(width), height: down(height) };
  }
  if (rounded.width * rounded.height < leastPixels) {
    const grow = Math.sqrt(leastPixels / (height * width));
    const up = (length: number) => Math.ceil((length * grow) / factor) * factor;
    return { width: up(width), height: up(height) };
  }
  return rounded;
}
