import { homedir, platform } from 'node:os';
import { join } from 'node:path';

/** Where the library, the runs and the uploads live. `EFFILORA_DATA` overrides the system's place for application data. */
export function dataFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['EFFILORA_DATA']) return environment['EFFILORA_DATA'];
  if (platform() === 'win32') return join(environment['APPDATA'] ?? join(homedir(), 'AppData', 'Roaming'), 'EffiLoRA');
  if (platform() === 'darwin') return join(homedir(), 'Library', 'Application Support', 'EffiLoRA');
  return join(environment['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'effilora');
}
