import { describe, expect, it } from 'vitest';
import { patchesOn } from '../../../src-main/models/vision/patches-on.ts';
import { fedOf } from '../../../src-main/models/vision/preparation/fed.ts';
import type { PictureOptions } from '../../../src-main/models/vision/preparation/options.ts';
import type { PictureProcessor } from '../../../src-main/models/vision/preparation/processor.ts';
import { preparePicture } from '../../../src-main/models/vision/preparation/prepare.ts';
import type { VisionConfig } from '../../../src-main/models/vision/towers/config.ts';
import { windowLayout } from '../../../src-main/models/vision/towers/windows.ts';

/** Small models of each family, with patches of 4 pixels (Qwen's of 2) and towers of 16. */
interface Family {
  options: PictureOptions;
  config: VisionConfig;
}
const as = {
  filter: 'bilinear' as const,
  normalization: { rescale: 1, mean: [0, 0, 0], deviation: [1, 1, 1] },
};
const sizes = { patchSize: 4, hiddenSize: 8, intermediateSize: 8, layers: 1, heads: 1 };
const encoder = { ...sizes, kind: 'siglip' as const, imageSize: 16, epsilon: 1, activation: 'gelu' as const };
const clip = { ...encoder, kind: 'clip' as const };
const qwen = { ...sizes, kind: 'qwen2.5' as const, patchSize: 2, frames: 2, merge: 2, windowSize: 8, full: [] };
const mlp = { kind: 'mlp' as const, activation: 'gelu' as const, bias: true, dropClass: true, outSize: 8 };
const crop = { ...as, kind: 'crop' as const, shortestEdge: 16, height: 16, width: 16 };
const FAMILIES = {
  idefics3: {
    options: { ...as, kind: 'tiles', longestEdge: 32, tile: 16, split: true },
    config: { tower: encoder, connector: { kind: 'shuffle', scale: 2, outSize: 8 } },
  },
  gemma3: {
    options: { ...as, kind: 'square', height: 16, width: 16 },
    config: { tower: encoder, connector: { kind: 'pool', tokensPerSide: 2, epsilon: 1, outSize: 8 } },
  },
  llava: { options: crop, config: { tower: clip, connector: mlp } },
  qwen: {
    options: { ...as, kind: 'grid', leastPixels: 16, mostPixels: 10_000, patch: 2, frames: 2, merge: 2 },
    config: { tower: qwen, connector: { kind: 'merge', outSize: 8 } },
  },
} satisfies Record<string, Family>;

/** 24 x 12 pixels, black but for what is painted white. */
function pictureWith(white: (x: number, y: number) => boolean, [width, height] = [24, 12]) {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) if (white(i % width, Math.floor(i / width))) rgb.fill(255, 3 * i, 3 * i + 3);
  return { width, height, rgb };
}

function prepared({ options, config }: Family, picture = pictureWith(() => false)) {
  const processor = { options } as PictureProcessor;
  const { rgb, ...size } = preparePicture(picture, options, 'p');
  const fed = fedOf([{ rgb, ...size }], processor, config.tower.patchSize);
  const places = (part: string) => patchesOn({ of: picture, size, grids: fed.grids }, part, processor, config);
  return { fed, places };
}
const shown = (found: ReturnType<ReturnType<typeof prepared>['places']>) =>
  found.map(({ box: { left, top, width, height }, rows, columns, at, isTile }) => ({
    ...{ box: [left, top, width, height], grid: [rows, columns], at: [...at], isTile },
  }));
const upTo = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

describe('where the tokens of a picture of 24 x 12 lie, worked out by hand', () => {
  it('idefics3: two tiles of 2 x 2 tokens, then the whole', () => {
    // Longest edge 32: 32 x 16, two tiles of 16, each of 4 x 4 patches shuffled two to a side.
    expect(shown(prepared(FAMILIES.idefics3).places('language'))).toEqual([
      { box: [0, 0, 0.5, 1], grid: [2, 2], at: [0, 1, 2, 3], isTile: true },
      { box: [0.5, 0, 0.5, 1], grid: [2, 2], at: [4, 5, 6, 7], isTile: true },
      { box: [0, 0, 1, 1], grid: [2, 2], at: [8, 9, 10, 11], isTile: false },
    ]);
  });

  it('gemma3: the whole as 2 x 2', () => {
    expect(shown(prepared(FAMILIES.gemma3).places('language'))).toEqual([
      { box: [0, 0, 1, 1], grid: [2, 2], at: [0, 1, 2, 3], isTile: false },
    ]);
  });

  it('llava: the middle half, and behind the class where that is kept', () => {
    // Shortest edge 16: 32 x 16, of which the 16 from 8 on are left.
    const box = [0.25, 0, 0.5, 1];
    expect(shown(prepared(FAMILIES.llava).places('language'))).toEqual([{ box, grid: [4, 4], at: upTo(0, 16), isTile: false }]); // prettier-ignore
    const full = { options: crop, config: { tower: clip, connector: { ...mlp, dropClass: false } } };
    expect(shown(prepared(full).places('language'))[0]!.at).toEqual(upTo(1, 16));
    expect(shown(prepared(FAMILIES.llava).places('tower'))[0]!.at).toEqual(upTo(1, 16));
    // Of 18 pixels four patches of 4 are 16: the last two are not seen.
    const odd = {
      options: { ...crop, shortestEdge: 18, width: 18, height: 18 },
      config: { tower: { ...clip, imageSize: 18 }, connector: mlp },
    };
    expect(shown(prepared(odd).places('language'))[0]!.box.map((share) => share * 36)).toEqual([9, 0, 16, 32]);
  });

  it('qwen: 3 x 6 blocks of two patches a side, its tower window by window', () => {
    expect(shown(prepared(FAMILIES.qwen).places('language'))).toEqual([
      { box: [0, 0, 1, 1], grid: [3, 6], at: upTo(0, 18), isTile: false },
    ]);
    const { grid, at } = shown(prepared(FAMILIES.qwen).places('tower'))[0]!;
    expect(grid).toEqual([6, 12]);
    // Windows of 2 x 2 blocks, 16 patches: the first row crosses three of them, two blocks each, two patches a block.
    expect(at.slice(0, 12)).toEqual([0, 1, 4, 5, 16, 17, 20, 21, 32, 33, 36, 37]);
    expect(at.slice(12, 16)).toEqual([2, 3, 6, 7]);
    expect(at.slice(24, 26)).toEqual([8, 9]);
    // The third row of blocks is the first of the windows below.
    expect(at.slice(48, 50)).toEqual([48, 49]);
  });
});

/** Whether what the tower is fed of a patch is bright. */
function brightRows(
  { config }: Family,
  { patches, grids }: ReturnType<typeof prepared>['fed'],
): (row: number) => boolean {
  // prettier-ignore
  const { tower } = config;
  const width = patches.length / grids.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const isBright = (patch: number) => patches.subarray(patch * width, (patch + 1) * width).some((value) => value > 127);
  if (tower.kind === 'qwen2.5') {
    const layout = windowLayout(grids, tower);
    return (row) => isBright(layout.patches[row]!);
  }
  // Each tile has its class first, of which nothing is fed.
  return (row) => isBright(tower.kind === 'clip' ? row - 1 : row);
}

it.each(Object.entries<Family>(FAMILIES))(
  '%s: a white corner is in the patches that lie there, and in no other',
  (_, family) => {
    // Right of x = 16 and below y = 6: a third of the width, half of the height.
    const { fed, places } = prepared(
      family,
      pictureWith((x, y) => x >= 16 && y >= 6),
    );
    const isBright = brightRows(family, fed);
    let bright = 0;
    for (const { box, rows, columns, at } of places('tower'))
      at.forEach((row, i) => {
        const right = box.left + ((i % columns) + 1) * (box.width / columns);
        const bottom = box.top + (Math.floor(i / columns) + 1) * (box.height / rows);
        // Pixels on the edge are mixed with their neighbours.
        const margin = 0.07;
        const [inside, outside] = [
          right - box.width / columns > 2 / 3 - margin && bottom - box.height / rows > 1 / 2 - margin,
          right < 2 / 3 - margin || bottom < 1 / 2 - margin,
        ];
        if (isBright(row)) bright += 1;
        if (inside) expect(isBright(row), `row ${row}`).toBe(true);
        if (outside) expect(isBright(row), `row ${row}`).toBe(false);
      });
    expect(bright).toBeGreaterThan(0);
  },
);
