import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { describe, expect, it } from 'vitest';
import { furthest, losses } from './webgpu-losses.ts';

// In the project `lavapipe` alone: SwiftShader has no shader-f16.
describe.skipIf(noSoftwareGpu)(`half precision on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  it('products of a training stay near f32, and nothing says that there is none', async () => {
    const log: string[] = [];
    const half = await losses({ engine: 'webgpu', training: { precision: 'bf16' } }, log);
    const whole = await losses({ engine: 'webgpu' });
    expect(half).not.toEqual(whole);
    expect(furthest(half, whole)).toBeLessThan(0.01);
    expect(log.join('\n')).not.toContain('Products are in f32');
  });
});
