import type { WrittenIn } from '../engine/products.ts';
import type { SeenPrompt } from './seen-prompt.ts';
import type { Adaptation } from './types.ts';

/** What a text is decoded with. */
export interface DecodedWith {
  adaptation?: Adaptation;
  /** what the prompt's tokens of pictures are */
  seen?: SeenPrompt;
  /** default f32; int8: products with the model's matrices, the head's among them, in integers (docs/method.md, Integer products) */
  products?: WrittenIn;
}

/** Takes a sequence's tokens in, piece by piece. Dispose it. */
export interface Decoder {
  /** takes tokens in and gives the logits [vocabulary] of the one after them */
  next(ids: Int32Array): Promise<Float32Array>;
  dispose(): void;
}
