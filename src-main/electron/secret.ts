import { safeStorage } from 'electron';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileSecret } from '../studio/settings.ts';
import type { SecretStore } from '../studio/settings.ts';

/** The hub token encrypted with the system's keychain; without one, a file only the user can read. */
export function keychainSecret(dataFolder: string): SecretStore {
  if (!safeStorage.isEncryptionAvailable()) return fileSecret(dataFolder);
  const path = join(dataFolder, 'hub-token.encrypted');
  return {
    async read() {
      const bytes = await readFile(path).catch(() => undefined);
      return bytes && safeStorage.decryptString(bytes);
    },
    async write(secret) {
      await rm(path, { force: true });
      if (!secret) return 'forgotten';
      await writeFile(path, safeStorage.encryptString(secret), { mode: 0o600 });
      return 'encrypted with the system’s keychain';
    },
  };
}
