/** Takes a sequence's tokens in, piece by piece. Dispose it. */
export interface Decoder {
  /** takes tokens in and gives the logits [vocabulary] of the one after them */
  next(ids: Int32Array): Promise<Float32Array>;
  dispose(): void;
}
