import type { QwenConfig } from './config.ts';

/** A picture's patches, both whole multiples of the merged block. */
export interface PatchGrid {
  rows: number;
  columns: number;
}

/** Where the patches of some pictures lie while the tower works on them: window by window, each of the same length. */
export interface WindowLayout {
  /** the patch at each place, by its place in the input (merged block by merged block); -1: none, at a picture's edge */
  patches: Int32Array;
  /** windows of each picture, in order */
  windows: number[];
  /** patches a window */
  length: number;
  /** place of every merged block of the input among the merged blocks of the layout */
  blocks: Int32Array;
  /** rotary angles of every place: by rows, then by columns; [places, headSize / 2] */
  cos: Float32Array;
  sin: Float32Array;
}

/** Merged blocks a window's side. */
const sideOf = ({ windowSize, merge, patchSize }: QwenConfig) => Math.floor(Math.floor(windowSize / merge) / patchSize);

/** How many windows each picture has, and patches each window. */
export function windowsOf(grids: PatchGrid[], config: QwenConfig): Pick<WindowLayout, 'windows' | 'length'> {
  const side = sideOf(config);
  const along = (patches: number) => Math.ceil(patches / config.merge / side);
  return {
    windows: grids.map(({ rows, columns }) => along(rows) * along(columns)),
    length: (side * config.merge) ** 2,
  };
}

/** Qwen2.5-VL's windows and 2D RoPE (arXiv 2502.13923), as transformers' modeling_qwen2_5_vl lays them. */
export function windowLayout(grids: PatchGrid[], config: QwenConfig): WindowLayout {
  const { merge } = config;
  const side = sideOf(config);
  const { windows, length } = windowsOf(grids, config);
  const total = windows.reduce((sum, count) => sum + count, 0);
  const blockCount = grids.reduce((sum, { rows, columns }) => sum + (rows * columns) / merge ** 2, 0);
  const half = config.hiddenSize / config.heads / 2;
  const layout: WindowLayout = {
    patches: new Int32Array(total * length).fill(-1),
    blocks: new Int32Array(blockCount),
    ...{ windows, length },
    cos: new Float32Array(total * length * half).fill(1),
    sin: new Float32Array(total * length * half),
  };
  let place = 0;
  let firstBlock = 0;
  for (const { rows, columns } of grids) {
    const [down, across] = [rows / merge, columns / merge];
    for (let top = 0; top < down; top += side)
      for (let left = 0; left < across; left += side)
        for (let i = 0; i < side * side; i++, place += merge * merge) {
          const [y, x] = [top + Math.floor(i / side), left + (i % side)];
          if (y >= down || x >= across) continue;
          const block = firstBlock + y * across + x;
          layout.blocks[block] = place / merge ** 2;
          for (let k = 0; k < merge * merge; k++) {
            layout.patches[place + k] = block * merge ** 2 + k;
            turn(layout, place + k, y * merge + Math.floor(k / merge), x * merge + (k % merge), half);
          }
        }
    firstBlock += down * across;
  }
  return layout;
}

const THETA = 10000;

/** The first half of the angles turns by the row, the second by the column. */
function turn({ cos, sin }: WindowLayout, place: number, row: number, column: number, half: number): void {
  const quarter = half / 2;
  for (let i = 0; i < half; i++) {
    const frequency = 1 / THETA ** ((i % quarter) / quarter);
    const angle = Math.fround((i < quarter ? row : column) * Math.fround(frequency));
    cos[place * half + i] = Math.cos(angle);
    sin[place * half + i] = Math.sin(angle);
  }
}

/** The patches' values in the layout's places, 0 where there is none. @param width values a patch */
export function placed(values: Float32Array, { patches }: WindowLayout, width: number): Float32Array {
  const out = new Float32Array(patches.length * width);
  patches.forEach((patch, place) => {
    if (patch >= 0) out.set(values.subarray(patch * width, (patch + 1) * width), place * width);
  });
  return out;
}
