import fsp from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** Runs `work` while this process alone holds the lock file; waits for another that holds it, and takes over one left by a dead process. */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await fsp.mkdir(path.dirname(file), { recursive: true });
  while (!(await tryLock(file))) await wait(200);
  try {
    return await work();
  } finally {
    await fsp.rm(file, { force: true });
  }
}

async function tryLock(file: string): Promise<boolean> {
  try {
    await fsp.writeFile(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const holder = Number(await fsp.readFile(file, 'utf8').catch(() => ''));
    if (holder > 0 && !isAlive(holder)) await fsp.rm(file, { force: true });
    return false;
  }
}

/** Signal 0 asks whether a process is there. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
