import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';

/** Names one process for good: its id may be given to another one after it, its start in that boot of that machine not. */
export interface ProcessIdentity {
  host: string;
  /** of the machine's current boot; empty where the system doesn't tell */
  boot: string;
  pid: number;
  /** as the system writes it; only compared */
  started: string;
}

/** gone: has ended, whatever has its id now; elsewhere: of another machine, about which nothing is known here */
export type ProcessState = 'alive' | 'gone' | 'elsewhere';

let own: ProcessIdentity | undefined;

export function ownIdentity(): ProcessIdentity {
  return (own ??= identityOf(process.pid) ?? { host: os.hostname(), boot: bootId(), pid: process.pid, started: '' });
}

/** Undefined where there is no such process. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const started = startOf(pid);
  return started === undefined ? undefined : { host: os.hostname(), boot: bootId(), pid, started };
}

export function stateOf(identity: ProcessIdentity): ProcessState {
  if (identity.host !== os.hostname()) return 'elsewhere';
  if (identity.boot !== bootId()) return 'gone';
  return identityOf(identity.pid)?.started === identity.started ? 'alive' : 'gone';
}

function bootId(): string {
  try {
    if (process.platform === 'linux') return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    if (process.platform === 'darwin')
      return execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim();
  } catch {
    // A system that keeps it to itself: the start of the process has to do.
  }
  return '';
}

/** When a process started, in its system's own words; undefined for one that has ended. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      // proc(5): after the name in brackets, which may hold anything, come the state and 19 fields later the start.
      const fields = fs
        .readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    }
    const [program, args] =
      process.platform === 'win32'
        ? ['powershell', ['-NoProfile', '-Command', `(Get-Process -Id ${pid}).StartTime.ToFileTimeUtc()`]]
        : ['ps', ['-o', 'lstart=', '-p', String(pid)]];
    return (
      execFileSync(program as string, args as string[], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim() || undefined
    );
  } catch {
    return undefined;
  }
}
