import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { checkAllCases } from './check-all.ts';

describe.skipIf(noSoftwareGpu)(`PyTorch on webgpu, ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  beforeAll(async () => {
    await openEngine('webgpu');
  });
  afterAll(async () => expect((await openWebgpu()).opened.log).toEqual([]));
  checkAllCases();
});
