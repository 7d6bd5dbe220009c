import './software-gpu.ts';
import { afterAll, beforeAll, expect } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';

/** Opens the engine webgpu before the tests around, gives its backend to `take`, and holds Dawn to have found no fault after them. */
export function onWebgpu(take: (backend: Backend) => void = () => {}): void {
  let backend: Backend;
  beforeAll(async () => {
    await openEngine('webgpu');
    backend = await openWebgpu();
    take(backend);
  });
  afterAll(() => expect(backend.opened.log).toEqual([]));
}
