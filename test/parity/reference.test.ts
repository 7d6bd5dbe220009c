import { beforeAll, describe } from 'vitest';
import { listEngines, openEngine } from '../../src-main/engine/index.ts';
import { checkAllCases } from './check-all.ts';

// webgpu has a file of its own, for two drivers.
const engines = (await listEngines()).filter(({ name, available }) => available && name !== 'webgpu');

describe.each(engines.map(({ name }) => name))('PyTorch on %s', (engine) => {
  beforeAll(async () => {
    await openEngine(engine);
  });
  checkAllCases();
});
