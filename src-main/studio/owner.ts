import { randomUUID } from 'node:crypto';
import { ownIdentity, stateOf } from '../engine/process-identity.ts';
import type { ProcessIdentity, ProcessState } from '../engine/process-identity.ts';

/** Who does something in a library that several studios may share: a process, and which of its studios. */
export function newOwner(): string {
  return JSON.stringify({ ...ownIdentity(), studio: randomUUID().slice(0, 8) });
}

/** Of another studio's process; elsewhere: nothing is known but how long it has been silent. */
export function stateOfOwner(owner: string | null): ProcessState {
  const identity = identityIn(owner);
  if (!identity) return 'elsewhere';
  // Another studio in this very process: it may have been closed.
  const { pid, started } = ownIdentity();
  return identity.pid === pid && identity.started === started ? 'elsewhere' : stateOf(identity);
}

/** For a sentence. */
export function nameOfOwner(owner: string | null): string {
  const identity = identityIn(owner);
  return identity ? `process ${identity.pid} on ${identity.host}` : (owner ?? 'nobody');
}

function identityIn(owner: string | null): ProcessIdentity | undefined {
  try {
    const value = JSON.parse(owner ?? '') as Partial<ProcessIdentity> | null;
    return typeof value?.pid === 'number' ? (value as ProcessIdentity) : undefined;
  } catch {
    return undefined;
  }
}
