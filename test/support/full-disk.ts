import fs from 'node:fs';
import { expect } from 'vitest';

/** Takes all the room that is left on a file's disk. */
export function fillDisk(file: string): string {
  const handle = fs.openSync(file, 'w');
  // The last bytes, too: what is appended to a file's last page would still fit.
  for (const piece of [Buffer.alloc(4096), Buffer.alloc(1)]) {
    try {
      for (;;) fs.writeSync(handle, piece);
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }
  fs.closeSync(handle);
  return file;
}
