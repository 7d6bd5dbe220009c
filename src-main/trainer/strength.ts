import type { StoredAdapter } from './stored-adapter.ts';

/** An adapter that changes its model by a share of what it learned: 1 is as it was trained, 0.5 half of that. Other programs call it a LoRA's weight. */
export function withStrength({ description, tensors }: StoredAdapter, strength: number): StoredAdapter {
  const { method } = description;
  return { description: { ...description, method: { ...method, alpha: strength * method.alpha } }, tensors };
}
