import os from 'node:os';
import path from 'node:path';

/** The user's cache folder for things that can be fetched again (engine, default models, hashes). `EFFILORA_CACHE` overrides it. */
export function cacheFolder(): string {
  const home = os.homedir();
  if (process.env.EFFILORA_CACHE) return path.resolve(process.env.EFFILORA_CACHE);
  if (process.platform === 'win32')
    return path.join(process.env.LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'effilora', 'cache');
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches', 'effilora');
  return path.join(process.env.XDG_CACHE_HOME ?? path.join(home, '.cache'), 'effilora');
}

/** A packaged file's place on the disk: programs other than Electron can't look into its archive. */
export function onDisk(file: string): string {
  return file.replace(/([\\/])app\.asar([\\/])/, '$1app.asar.unpacked$2');
}
