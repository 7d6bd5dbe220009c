import { SmallDisk } from './disks.ts';
import { Arena, KILLS, type Work } from './kills.ts';
import { random } from './random.ts';
import type { Victim } from './studio.ts';

/**
 * `npm run torture -- [moments] [victim] [work]`: kills each process in the middle of each work at so many random moments
 * (default 50) and says how often which was hit; `disks` as the victim fills the disk and deletes the folder at twenty moments.
 * A trial that fails ends it, with what is needed to see it again.
 */
const [moments = '50', onlyVictim, onlyWork] = process.argv.slice(2);
if (!onlyVictim || onlyVictim === 'disks') await disks(Math.min(20, Number(moments)));
if (onlyVictim !== 'disks') await kills(Number(moments));

async function disks(count: number): Promise<void> {
  const disk = await SmallDisk.mount();
  if (!disk) return console.log('disks: none can be mounted here');
  try {
    for (const what of ['full', 'deleted'] as const) {
      const next = random(2000 + what.length);
      let hits = 0;
      for (let trial = 1; trial <= count; trial++) {
        const moment = next();
        const hit = await disk[what](moment).catch((error: Error) => {
          throw new Error(`${what}, trial ${trial} at ${moment}: ${error.message}`);
        });
        if (hit === 'in the middle') hits++;
      }
      console.log(`${what}: ${count} moments, ${hits} in the middle of the run, all as it has to be`);
    }
  } finally {
    disk.unmount();
  }
}

async function kills(count: number): Promise<void> {
  const chosen = KILLS.filter(
    ([victim, work]) =>
      (!onlyVictim || victim === (onlyVictim as Victim)) && (!onlyWork || work === (onlyWork as Work)),
  );
  const arena = await Arena.open();
  for (const [victim, work] of chosen) {
    const next = random(1000 + KILLS.findIndex(([a, b]) => a === victim && b === work));
    let hits = 0;
    for (let trial = 1; trial <= count; trial++) {
      const moment = next();
      const hit = await arena.trial(victim, work, moment).catch((error: Error) => {
        throw new Error(`${victim} during ${work}, trial ${trial} at ${moment}: ${error.message}`);
      });
      if (hit === victim) hits++;
      if (trial % 10 === 0 || trial === count)
        console.log(`${victim} during ${work}: ${trial} moments, ${hits} kills, all as it has to be`);
    }
  }
  await arena.close();
}
