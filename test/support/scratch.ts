import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder, and what removes it. Apart from the studio's own support, which brings along the whole studio. */
export function scratchFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'effilora-studio-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
