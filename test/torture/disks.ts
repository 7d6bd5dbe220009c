import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { RunEvent } from '../../src-main/trainer/events.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { fillDisk } from '../support/full-disk.ts';
import { resultOf, smallRun, temporary } from '../trainer/support.ts';

/** Of a run; it is struck in its first two thirds, as it goes on until it notices. */
const STEPS = 150;

/** A small disk of its own, and what a run on it comes to when nothing happens to it. */
export class SmallDisk {
  private constructor(
    private readonly disk: string,
    private readonly recipe: string,
    private readonly whole: ReturnType<typeof resultOf>,
  ) {}

  /** Undefined where one may not mount. */
  static async mount(): Promise<SmallDisk | undefined> {
    const disk = temporary('torture-disk');
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]).status !== 0) return undefined;
    const work = temporary('torture-work');
    const recipe = smallRun(work, { training: { steps: STEPS, evalEvery: 50, checkpointEvery: 8 } });
    const folder = path.join(work, 'whole');
    const end = await startTrainer({ recipe, folder, resume: false }).ended;
    if (end.outcome !== 'finished') throw new Error(JSON.stringify(end));
    return new SmallDisk(disk, recipe, resultOf(folder));
  }

  unmount(): void {
    spawnSync('umount', [this.disk]);
  }

  /** Fills the disk at this part of a run's time; with room again it has to end as if nothing had been. @throws */
  async full(moment: number): Promise<'in the middle' | 'too late'> {
    const { folder, trainer } = await this.startTo(moment);
    const filler = fillDisk(path.join(this.disk, 'filler'));
    const end = await trainer.ended;
    fs.rmSync(filler);
    if (end.outcome !== 'failed') return 'too late';
    if (!/disk is full/.test(end.message)) throw new Error(`No sentence: ${end.message}`);
    const resume = fs.existsSync(path.join(folder, 'metrics.jsonl'));
    const recipe = resume ? path.join(folder, 'recipe.yaml') : this.recipe;
    const again = await startTrainer({ recipe, folder, resume }).ended;
    if (again.outcome !== 'finished') throw new Error(`Did not go on: ${JSON.stringify(again)}`);
    if (JSON.stringify(resultOf(folder)) !== JSON.stringify(this.whole)) throw new Error('Not the same numbers');
    return 'in the middle';
  }

  /** Deletes the run's folder at this part of its time; it may not come back. @throws */
  async deleted(moment: number): Promise<'in the middle' | 'too late'> {
    const { folder, trainer } = await this.startTo(moment);
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    const end = await trainer.ended;
    if (end.outcome !== 'failed') return 'too late';
    if (!/was deleted or moved/.test(end.message)) throw new Error(`No sentence: ${end.message}`);
    if (fs.existsSync(folder)) throw new Error(`The folder came back: ${fs.readdirSync(folder).join(', ')}`);
    return 'in the middle';
  }

  private async startTo(moment: number) {
    const folder = path.join(this.disk, 'run');
    fs.rmSync(folder, { recursive: true, force: true });
    const last = 1 + Math.floor((moment * 2 * STEPS) / 3);
    let reach = () => {};
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const onEvent = (event: RunEvent) => event.kind === 'metrics' && event.line.step >= last && reach();
    const trainer = startTrainer({ recipe: this.recipe, folder, resume: false, onEvent });
    await Promise.race([reached, trainer.ended]);
    return { folder, trainer };
  }
}
