import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Arena, KILLS } from './kills.ts';
import { random } from './random.ts';

/** Moments a pair here; `npm run torture` takes fifty. */
const MOMENTS = 3;

describe.skipIf(process.platform !== 'linux')('killed in the middle (reads /proc)', () => {
  let arena: Arena;
  beforeAll(async () => void (arena = await Arena.open()));
  afterAll(() => arena?.close());

  it.each(KILLS)(
    '%s during %s: the library opens, the work ends the same, nothing is left over',
    async (victim, work) => {
      const next = random(KILLS.findIndex(([a, b]) => a === victim && b === work) + 1);
      const killed: string[] = [];
      for (let trial = 0; trial < MOMENTS; trial++) killed.push(await arena.trial(victim, work, next()));
      expect(killed).toContain(victim);
    },
  );

  it.each(['training', 'export', 'import'] as const)(
    'studio during %s, when an adapter lies there that no row names yet: nothing of it is left over',
    async (work) => {
      expect(await arena.trial('studio', work, 'adapter written')).toBe('studio');
    },
  );
});
