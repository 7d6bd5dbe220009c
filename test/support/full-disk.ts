import fs from 'node:fs';

/** Takes all the room that is left on a file's disk. */
export function fillDisk(file: string): string {
  const handle = fs.openSync(file, 'w');
  // The last bytes, too: what is appended to a file's last page would still fit.
  for (const piece of [Buffer.alloc(4096), Buffer.alloc(1)]) {
    try {
      for (;;) fs.writeSync(handle, piece);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
  fs.closeSync(handle);
  return file;
}
