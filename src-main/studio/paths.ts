import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { UserError } from '../engine/types.ts';

/**
 * The folders a view may name paths in. Links are followed before the check, so that a link inside a chosen folder
 * doesn't lead out of it.
 */
export class AllowedPaths {
  /** @param chosen files and folders besides, by their real paths: what the owner chose in a dialog of the system's or dropped */
  constructor(
    private readonly folders: () => string[],
    private readonly chosen: () => string[] = () => [],
  ) {}

  /**
   * The real path of `path`, which must exist.
   * @throws UserError when it doesn't exist or lies outside the chosen folders
   */
  async check(path: string): Promise<string> {
    const absolute = resolve(path);
    // Outside the chosen folders one isn't even told whether something exists.
    if (path.includes('\0') || !isAbsolute(path) || !(await this.holds(absolute))) throw outside(path);
    const real = await realpath(absolute).catch(() => undefined);
    if (!real)
      throw new UserError(
        `${path} isn't there any more (moved, renamed or on a disk that isn't mounted). Choose it again.`,
      );
    if (!(await this.holds(real))) throw outside(path);
    return real;
  }

  async roots(): Promise<string[]> {
    const real = await Promise.all(this.folders().map((folder) => realpath(folder).catch(() => undefined)));
    return [...new Set(real.filter((folder) => folder !== undefined))];
  }

  private async holds(path: string): Promise<boolean> {
    const named = [...this.folders().map((folder) => resolve(folder)), ...(await this.roots()), ...this.chosen()];
    return named.some((folder) => path === folder || isInside(folder, path));
  }
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function outside(path: string): UserError {
  return new UserError(
    `${path} lies outside the folders this studio may use. Add its folder in the settings of the machine the studio runs on.`,
  );
}
