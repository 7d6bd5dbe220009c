import { chmod, mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { settingsValues } from '../../src-preload/contract/index.ts';
import type { SettingsValues } from '../../src-preload/contract/index.ts';
import type { Library } from './database/open.ts';

/** Keeps a secret: Electron's safeStorage where there is one, else a file only the user can read. */
export interface SecretStore {
  read(): Promise<string | undefined>;
  /** an empty secret forgets it; returns where it is kept, for people */
  write(secret: string): Promise<string>;
}

export class SettingsStore {
  constructor(private readonly library: Library) {}

  values(): SettingsValues {
    // A value from an older or newer version that no longer fits falls back to the default.
    const kept = settingsValues.safeParse(this.read('values') ?? {});
    return kept.success ? kept.data : settingsValues.parse({});
  }

  change(change: Partial<SettingsValues>): SettingsValues {
    const values = settingsValues.parse({ ...this.values(), ...change });
    this.write('values', values);
    return values;
  }

  /** Files and folders that the owner chose outside the chosen folders. */
  chosenPaths(): string[] {
    const kept = z.array(z.string()).safeParse(this.read('chosen'));
    return kept.success ? kept.data : [];
  }

  /** Remembers a choice as it was named and as it really lies, so that a link led elsewhere later leads nowhere. */
  async choose(path: string): Promise<void> {
    const real = await realpath(path).catch(() => path);
    this.write('chosen', [...new Set([...this.chosenPaths(), resolve(path), real])]);
  }

  read(key: string): unknown {
    const row = this.library.prepare('SELECT value FROM settings WHERE key = ?').get(key) as
      { value: string } | undefined;
    return row && (JSON.parse(row.value) as unknown);
  }

  write(key: string, value: unknown): void {
    this.library
      .prepare('INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(key, JSON.stringify(value));
  }
}

/** The hub token as a file with the user's rights only. */
export function fileSecret(dataFolder: string): SecretStore {
  const path = join(dataFolder, 'hub-token');
  return {
    async read() {
      const text = await readFile(path, 'utf8').catch(() => undefined);
      return text?.trim() || undefined;
    },
    async write(secret) {
      await rm(path, { force: true });
      if (!secret) return 'forgotten';
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, `${secret}\n`, { mode: 0o600 });
      await chmod(path, 0o600);
      return `in ${path}, readable by you only`;
    },
  };
}
