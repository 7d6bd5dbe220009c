import { expect, it } from 'vitest';
import type { EngineStatus } from '../../src-main/engine/types.ts';
import type { MachineReport } from '../../src-preload/contract/index.ts';
import { cliJson, startCli } from './support.ts';

it('effilora doctor measures the engines that effilora engines lists, and takes the same one', async () => {
  const report = await cliJson<MachineReport>(['doctor']);
  const listed = await cliJson<{ engines: EngineStatus[]; chosen: string }>(['engines']);
  expect(report.chosen).toBe(listed.chosen);
  expect(report.engines.map(({ name, device, kind }) => ({ name, device, kind }))).toEqual(
    listed.engines.map(({ name, device, kind }) => ({ name, device, kind })),
  );
  const at = (engine: string) => report.engines.find(({ name }) => name === engine)!;
  for (const { name, available } of listed.engines) expect([name, at(name).probe.passed]).toEqual([name, available]);
  for (const name of ['tensorflow', 'wasm']) {
    const { steps, tokensPerSecond, productGflops, bandwidthGBs, probe } = at(name);
    expect({ name, done: steps?.done, passed: probe.passed }).toEqual({ name, done: 3, passed: true });
    for (const figure of [tokensPerSecond, productGflops, bandwidthGBs, probe.seconds])
      expect(figure).toBeGreaterThan(0);
  }
  // The whole model, as the plan predicts it; what is measured of the others is a small part of it.
  const { predictedBytes, measuredBytes, steps } = at('tensorflow');
  expect(steps).toEqual({ done: 3, rows: 2, length: 128, blocks: null });
  expect(Math.abs(predictedBytes! / measuredBytes! - 1)).toBeLessThan(0.1);
  expect(at('cpu').notes).toEqual(['It is for tests and tiny models: no training steps were measured on it.']);
});

it('effilora doctor ends at Ctrl-C, without a report', async () => {
  const { child, ended, wrote } = startCli(['doctor', '--json']);
  await wrote(/Trying tensorflow/);
  child.kill('SIGINT');
  const { code, stdout } = await ended;
  expect([code, stdout]).toEqual([130, '']);
});
