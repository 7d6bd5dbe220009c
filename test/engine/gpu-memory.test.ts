import { describe, expect, it } from 'vitest';
import { GpuMemory } from '../../src-main/engine/devices/gpu-memory.ts';

const MIB = 2 ** 20;

describe('memory of a GPU whose engine keeps no count', () => {
  /** A driver that answers with these MiB in use: of the whole GPU, and by process. */
  const driver = (told: { used: number; processes?: [pid: number, uuid: string, used: string][] }) => ({
    asked: 0,
    nvidiaSmi: () => Promise.resolve(['GPU-aaaa, 7', `GPU-bbbb, ${told.used}`]),
    nvidiaProcesses() {
      this.asked++;
      return Promise.resolve((told.processes ?? []).map((line) => line.join(', ')));
    },
  });

  it('is what the driver tells of this process on that GPU', async () => {
    const own = (used: string): [number, string, string] => [process.pid, 'GPU-bbbb', used];
    const others: [number, string, string][] = [
      [process.pid, 'GPU-aaaa', '9'],
      [1, 'GPU-bbbb', '4000'],
    ];
    const told = { used: 4000, processes: [...others, own('700')] };
    const [from, clock] = [driver(told), { ms: 0 }];
    const memory = await GpuMemory.open('GPU-bbbb', from, () => clock.ms);
    expect(await memory.bytes()).toBe(700 * MIB);
    told.processes = [...others, own('500')];
    clock.ms = 1_000;
    expect(await memory.bytes()).toBe(700 * MIB);
    expect(from.asked).toBe(1);
    // Old by now: it is asked for again, and steps go on meanwhile.
    clock.ms = 4_000;
    expect(await memory.bytes()).toBe(700 * MIB);
    await expect.poll(() => memory.bytes()).toBe(500 * MIB);
    expect([from.asked, memory.peakBytes]).toEqual([2, 700 * MIB]);
  });

  it('is what more is in use than before, where processes are not told apart', async () => {
    const told = { used: 300, processes: [[4711, 'GPU-bbbb', '[N/A]']] as [number, string, string][] };
    const memory = await GpuMemory.open('GPU-bbbb', driver(told));
    told.used = 1300;
    expect(await memory.bytes()).toBe(1000 * MIB);
  });

  it('is not told by a driver that says nothing', async () => {
    const silent = { nvidiaSmi: () => Promise.resolve([]), nvidiaProcesses: () => Promise.resolve([]) };
    expect(await (await GpuMemory.open('GPU-bbbb', silent)).bytes()).toBe(undefined);
  });
});
