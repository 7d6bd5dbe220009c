import type { RoutedPicture } from '../../src-preload/contract/index.ts';

/** The head that is favoured, by a router's shares. */
export const favoured = (omega: number[]): number =>
  omega.reduce((most, share, head) => (share > omega[most]! ? head : most), 0);

export const percent = (share: number) => `${Math.round(share * 100)} %`;

/** A patch on the picture; its place in pixels of the picture. */
export interface Cell {
  x: number;
  y: number;
  width: number;
  height: number;
  /** in the whole view, from 0 */
  row: number;
  column: number;
  /** from 0; undefined: of the whole picture */
  tile?: number;
  head: number;
  omega: number[];
}

/** Patches that lie beside each other: all tiles, or the whole picture. */
export interface PatchView {
  name: string;
  rows: number;
  columns: number;
  /** row by row */
  cells: Cell[];
}

/** What a model saw of a picture: its tiles in one view, and the whole in another, as both cover all of it. */
export function viewsOf({ parts, width, height }: RoutedPicture): PatchView[] {
  const tiles = parts.filter(({ isTile }) => isTile);
  const wholes = parts.filter(({ isTile }) => !isTile);
  const view = (name: string, of: RoutedPicture['parts']): PatchView => {
    const across = new Set(of.map(({ box }) => box.left)).size;
    const cells = of.flatMap(({ box, isTile, rows, columns, omega }, tile) => {
      const size = { width: (box.width * width) / columns, height: (box.height * height) / rows };
      const [down, right] = [Math.floor(tile / across) * rows, (tile % across) * columns];
      return omega.map((shares, i): Cell => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        return {
          ...size,
          ...{ x: box.left * width + column * size.width, y: box.top * height + row * size.height },
          ...{ row: down + row, column: right + column, tile: isTile ? tile : undefined },
          ...{ head: favoured(shares), omega: shares },
        };
      });
    });
    const [columns, rows] = [across * of[0]!.columns, (of.length / across) * of[0]!.rows];
    return { name, rows, columns, cells: cells.sort((a, b) => a.row - b.row || a.column - b.column) };
  };
  return [
    ...(tiles.length ? [view(`its ${tiles.length} tiles`, tiles)] : []),
    ...(wholes.length ? [view('the whole at once', wholes)] : []),
  ];
}

/** `Tile 2, row 1 of 4, column 3 of 8: head 1 with 62 %, then head 0 with 38 %` */
export function toldOf({ tile, row, column, omega }: Cell, { rows, columns }: PatchView): string {
  const shares = [...omega.entries()].sort(([, a], [, b]) => b - a).map(([head, share]) => `head ${head} ${percent(share)}`); // prettier-ignore
  const place = `row ${row + 1} of ${rows}, column ${column + 1} of ${columns}`;
  return `${tile === undefined ? 'Patch' : `Tile ${tile + 1}, patch`} in ${place}: ${shares.join(', ')}`;
}

/** How many patches each head serves, most first. */
export function servedBy({ cells }: PatchView): { head: number; patches: number }[] {
  const counts = new Map<number, number>();
  for (const { head } of cells) counts.set(head, (counts.get(head) ?? 0) + 1);
  return [...counts]
    .map(([head, patches]) => ({ head, patches }))
    .sort((a, b) => b.patches - a.patches || a.head - b.head);
}
