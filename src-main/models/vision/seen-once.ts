import { joined } from '../floats.ts';
import { bytesOf, MadeOnce } from '../made-once.ts';
import type { Look } from './look.ts';
import type { FedPictures } from './preparation/fed.ts';
import type { PatchGrid } from './towers/windows.ts';

/**
 * What frozen pictures become: a tower that doesn't learn looks at each picture, or tile of one, once. Features lie in the user's cache;
 * none stay in memory. Each is seen alone, so that its numbers are the same whatever else a batch holds.
 */
export class SeenOnce {
  private constructor(
    private readonly look: Look,
    private readonly made: MadeOnce,
  ) {}

  /**
   * @param files what the model sees with is read from
   * @param config what it does with it
   * @param engine whose numbers these are
   */
  static async of(files: string[], config: object, engine: string, look: Look): Promise<SeenOnce> {
    return new SeenOnce(look, await MadeOnce.of(undefined, files, config, engine));
  }

  /** [features, hidden], picture after picture. */
  async features({ patches, grids }: FedPictures): Promise<Float32Array> {
    const total = grids.reduce((sum, grid) => sum + patchesOf(grid), 0);
    const width = patches.length / total;
    let first = 0;
    const pictures = grids.map((grid) => {
      const own = patches.subarray(first * width, (first + patchesOf(grid)) * width);
      first += patchesOf(grid);
      return { grid, patches: own };
    });
    const of = pictures.map((picture) => [`${picture.grid.rows} ${picture.grid.columns} `, bytesOf(picture.patches)]);
    return joined(await this.made.takeAll(of, (missing) => this.look(missing.map((i) => pictures[i]!))));
  }
}

const patchesOf = ({ rows, columns }: PatchGrid) => rows * columns;
