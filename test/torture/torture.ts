import { Arena, KILLS, type Work } from './kills.ts';
import { random } from './random.ts';
import type { Victim } from './studio.ts';

/**
 * `npm run torture -- [moments] [victim] [work]`: kills each process in the middle of each work at so many random moments
 * (default 50) and says how often which was hit. A trial that fails ends it, with what is needed to see it again.
 */
const [moments = '50', onlyVictim, onlyWork] = process.argv.slice(2);
const chosen = KILLS.filter(
  ([victim, work]) => (!onlyVictim || victim === (onlyVictim as Victim)) && (!onlyWork || work === (onlyWork as Work)),
);
const arena = await Arena.open();
for (const [victim, work] of chosen) {
  const next = random(1000 + KILLS.findIndex(([a, b]) => a === victim && b === work));
  let hits = 0;
  for (let trial = 1; trial <= Number(moments); trial++) {
    const moment = next();
    const hit = await arena.trial(victim, work, moment).catch((error: Error) => {
      throw new Error(`${victim} during ${work}, trial ${trial} at ${moment}: ${error.message}`);
    });
    if (hit === victim) hits++;
  }
  console.log(`${victim} during ${work}: ${moments} moments, ${hits} kills, all as it has to be`);
}
await arena.close();
