import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { keepSpeed, measuredSpeed } from '../../src-main/trainer/machine-speed.ts';
import { engineFacts } from '../../src-main/trainer/plan-facts.ts';
import { temporary } from './support.ts';

const cpu = { name: 'tensorflow', kind: 'cpu' } as const;
let folder: string;
beforeEach(() => {
  folder = temporary('speed');
  vi.stubEnv('EFFILORA_CACHE', folder);
});
afterEach(() => void vi.unstubAllEnvs());

it('keeps what runs reach by engine and products, and the plan reckons with it', async () => {
  expect(engineFacts(cpu).isMeasured).toBe(false);
  await keepSpeed(cpu, 'f32', 2e11);
  await keepSpeed(cpu, 'bf16', 5e11);
  await keepSpeed(cpu, 'f32', 3e11);
  expect(engineFacts(cpu)).toMatchObject({ isMeasured: true, flopsPerSecond: 3e11 });
  expect(engineFacts(cpu, 'bf16').flopsPerSecond).toBe(5e11);
  expect(measuredSpeed({ name: 'webgpu', kind: 'gpu' }, 'f32')).toBeUndefined();
});

it.each(['', '{"tensorflow cpu f32": ', '{"tensorflow cpu f32": -1}', '[3]'])(
  'takes a broken file for none: %s',
  async (text) => {
    fs.writeFileSync(path.join(folder, 'speed.json'), text);
    expect(measuredSpeed(cpu, 'f32')).toBeUndefined();
    await keepSpeed(cpu, 'f32', 1e11);
    expect(measuredSpeed(cpu, 'f32')).toBe(1e11);
  },
);
