import type { PictureOptions } from './options.ts';
import type { Placeholder } from './placeholders.ts';

/** How a model's pictures are prepared, and what they are in its texts. */
export interface PictureProcessor {
  options: PictureOptions;
  placeholder: Placeholder;
}
