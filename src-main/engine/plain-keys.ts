import { UserError } from './types.ts';

/** Names under which every object has something already: written under them, a value would reach all objects. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype']);
/** Nothing the studio takes is nested as deep. */
const DEEPEST = 100;

/**
 * Refuses data from outside that names what all objects share, at any depth, also as a part of a dotted key.
 * @param what whose data it is, for the sentence
 * @throws UserError naming the key
 */
export function checkPlainKeys(value: unknown, what: string, depth = 0): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  if (depth > DEEPEST) throw new UserError(`${what} is nested deeper than ${DEEPEST} levels; nothing it may hold is.`);
  for (const key of Object.getOwnPropertyNames(value)) {
    const part = key.split('.').find((one) => RESERVED.has(one));
    if (part !== undefined)
      throw new UserError(`${what} has a key "${key.slice(0, 80)}", and "${part}" is no name for anything in it.`);
    checkPlainKeys((value as Record<string, unknown>)[key], what, depth + 1);
  }
}
