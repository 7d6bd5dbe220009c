import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import type { NamedTensor } from '../effilora/types.ts';

/** An adapter as it lies on disk. */
export interface StoredAdapter {
  description: AdapterDescription;
  tensors: NamedTensor[];
}
