import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { fillDisk } from '../support/full-disk.ts';
import { resultOf, smallRun, temporary } from '../trainer/support.ts';

/** A small disk of its own, and what a run on it comes to when nothing happens to it. */
export class SmallDisk {
  private constructor(
    private readonly disk: string,
    private readonly recipe: string,
    private readonly whole: ReturnType<typeof resultOf>,
    /** from its first step to its end, milliseconds */
    private readonly took: number,
  ) {}

  /** Undefined where one may not mount. */
  static async mount(): Promise<SmallDisk | undefined> {
    const disk = temporary('torture-disk');
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]).status !== 0) return undefined;
    const work = temporary('torture-work');
    const recipe = smallRun(work, { training: { steps: 60, evalEvery: 15, checkpointEvery: 8 } });
    const folder = path.join(work, 'whole');
    let started = 0;
    const onEvent = ({ kind }: { kind: string }) => kind === 'metrics' && (started ||= performance.now());
    const end = await startTrainer({ recipe, folder, resume: false, onEvent }).ended;
    if (end.outcome !== 'finished') throw new Error(JSON.stringify(end));
    return new SmallDisk(disk, recipe, resultOf(folder), performance.now() - started);
  }

  unmount(): void {
    spawnSync('umount', [this.disk]);
  }

  /** Fills the disk at this part of a run's time; with room again it has to end as if nothing had been. @throws */
  async full(moment: number): Promise<'in the middle' | 'too late'> {
    const { folder, trainer, stepping } = this.start();
    await stepping;
    await wait(moment * this.took);
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
    const { folder, trainer, stepping } = this.start();
    await stepping;
    await wait(moment * this.took);
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    const end = await trainer.ended;
    if (end.outcome !== 'failed') return 'too late';
    if (!/was deleted or moved/.test(end.message)) throw new Error(`No sentence: ${end.message}`);
    if (fs.existsSync(folder)) throw new Error(`The folder came back: ${fs.readdirSync(folder).join(', ')}`);
    return 'in the middle';
  }

  private start() {
    const folder = path.join(this.disk, 'run');
    fs.rmSync(folder, { recursive: true, force: true });
    let step = () => {};
    const stepping = new Promise<void>((resolve) => (step = resolve));
    const onEvent = ({ kind }: { kind: string }) => kind === 'metrics' && step();
    const trainer = startTrainer({ recipe: this.recipe, folder, resume: false, onEvent });
    return { folder, trainer, stepping: Promise.race([stepping, trainer.ended]) };
  }
}
