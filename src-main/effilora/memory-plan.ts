import type { MemoryFacts } from '../engine/memory-facts.ts';
import { MOST_UNPACKED } from '../engine/product-in-pieces.ts';
import type { Products } from '../engine/products.ts';
import { headsPerSite, isOfLanguage, parameterCounts } from './methods/structure.ts';
import { isRouted, methodOf } from './methods/registry.ts';
import type { SeenShape } from './seen.ts';
import type { AdapterOptions, SiteShape, WholeTensor } from './types.ts';

/** How frozen weights are held, best first; `file`: in the blocks in which they lie in their file. */
export const PRECISIONS = ['file', 'f32', 'bf16', 'int8', 'int4'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Bytes a weight; the quantized ones with a scale per block of 32, as GGUF's Q8_0 and Q4_0. */
const BYTES: Record<Exclude<Precision, 'file'>, number> = { f32: 4, bf16: 2, int8: 34 / 32, int4: 18 / 32 };

/** What rounding f32 numbers to integers takes beside them: a byte a number, and three numbers a block of 32. */
const ROUNDED = (1 + 12 / 32) / 4;

/** Bytes of the frozen weights; what the file has in fewer bits than asked for stays as it is. */
export function frozenBytes({ parameters, fileBytes }: ModelFacts, precision: Precision): number {
  if (precision === 'file') return fileBytes;
  const bytes = parameters * BYTES[precision];
  return precision === 'f32' ? bytes : Math.min(bytes, fileBytes);
}

/** What the plan needs to know of a base model. */
export interface ModelFacts {
  name: string;
  /** frozen weights, tied ones counted once */
  parameters: number;
  /** of the frozen weights in the model's file */
  fileBytes: number;
  layers: number;
  hiddenSize: number;
  intermediateSize: number;
  attentionHeads: number;
  keyValueHeads: number;
  headSize: number;
  vocabularySize: number;
  /** the head is the embedding */
  tiedEmbeddings: boolean;
  /** longest sequence, tokens */
  contextLength: number;
  /** every linear of the language model that can be adapted */
  sites: SiteShape[];
  /** of a model that takes pictures: what of tower and connector can be adapted, or trained whole */
  seeing?: { sites: SiteShape[]; whole: WholeTensor[] };
  /** bytes of what sees before the blocks; frozen in f32, whatever the blocks are in */
  seesBytes?: number;
}

/** What the plan needs to know of an engine. */
export interface EngineFacts extends MemoryFacts {
  name: string;
  /** of a step as `flopsPerToken` counts it: floating-point operations a second */
  flopsPerSecond: number;
  /** whether a run on this machine has measured that; else it is a guess */
  isMeasured: boolean;
}

/** The shape of a run's steps. */
export interface RunShape {
  method: AdapterOptions;
  precision: Precision;
  /** of the products, and of what backward keeps of them */
  products: Products;
  /** longest example, tokens */
  sequenceLength: number;
  /** the most tokens a micro-batch has */
  tokens: number;
  /** blocks that backward computes again together; false or 0: none */
  recompute: boolean | number;
  /** what examples bring to be seen before the blocks */
  seen?: SeenShape;
  /** the most tokens a batch of held-out examples has; 0: the run does not evaluate, and answers nothing */
  evaluationTokens: number;
}

/** Bytes by part; docs/method.md, Configurator. */
export interface MemoryPlan {
  frozenWeights: number;
  /** A, B, router, magnitudes; what of it is never trained, too */
  adapter: number;
  gradientsAndMoments: number;
  /** what backward needs of the forward pass */
  activations: number;
  /** the largest thing that comes and goes: the logits chunk, one block's gradients, the new weights, an evaluation */
  transient: number;
  engine: number;
  total: number;
}

/** Predicts the peak of a run. */
export function memoryPlan(model: ModelFacts, engine: EngineFacts, run: RunShape): MemoryPlan {
  const trained = 4 * trainedNumbers(model, run.method);
  const seen = run.seen ?? { bytes: 0, evaluationBytes: 0, keptBytes: 0, keptBytesAgain: 0 };
  const keptOfSeen = run.recompute ? seen.keptBytesAgain : seen.keptBytes;
  const activations = activationBytes(model, engine, run) + keptOfSeen * engine.keptOverhead;
  const step = transientBytes(model, engine, run, trained);
  const parts = {
    frozenWeights: frozenInRun(model, engine, run) + (model.seesBytes ?? 0) * engine.seesOverhead,
    adapter: trained + 4 * numbersOf(model, run.method).frozen,
    // Frozen heads keep their moments, and at probing steps every head has a gradient.
    gradientsAndMoments: (methodOf(run.method).isFollowed ? 5 : 3) * trained,
    activations,
    transient: Math.max(
      step,
      // What is seen is seen before blocks keep anything, and an evaluation takes the place of what a step keeps.
      Math.max(seen.bytes, seen.evaluationBytes, evaluationBytes(model, engine, run)) - activations,
      answerBytes(model, run),
    ),
    engine: engine.ownBytes,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}

/** How many numbers the vocabulary's head has. */
const headNumbers = ({ vocabularySize, hiddenSize }: ModelFacts): number => vocabularySize * hiddenSize;

/** Frozen weights as a run holds them: with products in integers linears lie in at most 8 bits, and turned round once more, as the head is. */
function frozenInRun(model: ModelFacts, engine: EngineFacts, { precision, products }: RunShape): number {
  const all = frozenBytes(model, precision);
  if (products !== 'int8' || !engine.turnsWeights) return all;
  const linears = model.sites.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0);
  const each = all / model.parameters;
  return all + linears * (Math.min(each, BYTES.int8) - each) + (linears + headNumbers(model)) * BYTES.int8;
}

/** by a model's sites and a method's text */
const counted = new WeakMap<SiteShape[], Map<string, ReturnType<typeof parameterCounts>>>();

/** How many numbers an adapter of a model trains. */
export const trainedNumbers = (model: ModelFacts, method: AdapterOptions): number => numbersOf(model, method).all;

/** Those of them that train to the end even with every head frozen: all but B. */
export function numbersBesideHeads(model: ModelFacts, method: AdapterOptions): number {
  const { all, B = 0 } = numbersOf(model, method);
  return all - B;
}

/** And with every head frozen that may be. */
export function leastTrained(model: ModelFacts, method: AdapterOptions, minActivePerSite: number): number {
  const beside = numbersBesideHeads(model, method);
  const heads = headsPerSite(method);
  return beside + ((trainedNumbers(model, method) - beside) * Math.min(minActivePerSite, heads)) / heads;
}

/** The share of the heads' numbers that freeze for a ratio, and so that at most `most` train. */
export function frozenShareOf(model: ModelFacts, method: AdapterOptions, ratio: number, most = Infinity): number {
  const beside = numbersBesideHeads(model, method);
  const ofHeads = trainedNumbers(model, method) - beside;
  return Math.min(1, Math.max(ratio, 1 - (most - beside) / ofHeads));
}

/** How many numbers it multiplies with: without a router as many as a plain LoRA of its rank, however few it trains. */
const multipliedNumbers = (model: ModelFacts, method: AdapterOptions): number =>
  trainedNumbers(model, { ...method, name: isRouted(method) ? method.name : 'lora', share: 'module' });

/** Counted once: a proposal weighs hundreds of runs of a few methods. */
function numbersOf({ sites, seeing }: ModelFacts, method: AdapterOptions) {
  const byMethod = counted.get(sites) ?? new Map<string, ReturnType<typeof parameterCounts>>();
  counted.set(sites, byMethod);
  const key = JSON.stringify(method);
  const known = byMethod.get(key);
  if (known !== undefined) return known;
  const adapted = [...sites, ...(seeing?.sites ?? [])].filter(({ site }) => method.targets.includes(site));
  const counts = parameterCounts(adapted, method);
  byMethod.set(key, counts);
  return counts;
}

/** With recomputation the input of every so many blocks, and so many blocks' own; without, every block's own. */
function activationBytes(model: ModelFacts, engine: EngineFacts, run: RunShape): number {
  const together = Number(run.recompute);
  const block = blockBytes(model, engine, run, together === 0 && engine.makesCheapAgain);
  if (together === 0) return block * model.layers * engine.keptOverhead;
  const inputs = Math.ceil(model.layers / together) * 4 * run.tokens * model.hiddenSize;
  return (inputs + block * Math.min(together, model.layers)) * engine.keptOverhead;
}

/** How many blocks to compute again together so that least is kept: one, unless a block's input is large beside what is in it. */
export function bestRecomputation(model: ModelFacts, engine: EngineFacts, run: RunShape): number {
  const bytes = (recompute: number) => activationBytes(model, engine, { ...run, recompute });
  return [1, 2, 3, 4].reduce((best, count) => (bytes(count) < bytes(best) ? count : best));
}

/** The run's recomputation within a budget: none where all fits, else what keeps least. */
export function recomputationFor(model: ModelFacts, engine: EngineFacts, run: RunShape, budgetBytes: number) {
  const none = { ...run, recompute: false as const };
  return memoryPlan(model, engine, none).total <= budgetBytes ? false : bestRecomputation(model, engine, run);
}

/** Bytes of a number that passes between products. */
const passed = (engine: EngineFacts, run: RunShape) => (engine.keepsBf16 && run.products === 'bf16' ? 2 : 4);

/** What one block's backward needs: the inputs of its products, norms, rotations, gate and attention; `lean`: but for what is cheap. */
function blockBytes(model: ModelFacts, engine: EngineFacts, run: RunShape, lean: boolean): number {
  const { hiddenSize, intermediateSize, attentionHeads, keyValueHeads, headSize } = model;
  const { rank, targets } = run.method;
  const heads = headsPerSite(run.method);
  const attention = (2 * attentionHeads + 2 * keyValueHeads) * headSize; // q, k, v, output
  const cheap = intermediateSize + 2 * hiddenSize; // the gate's output, and both norms'
  const wide = attention + 2 * intermediateSize + (lean ? 0 : cheap);
  const adapter = targets.filter(isOfLanguage).length * (rank + heads + (lean ? 0 : heads + heads * rank)); // h and logits; omega, omega_j h
  // Composed: scores, masked scores, softmax.
  const scores = engine.fusedAttention ? model.attentionHeads : 3 * model.attentionHeads * run.sequenceLength;
  const inF32 = 2 * model.hiddenSize + adapter + scores; // x and x + attention, whatever the products are
  return run.tokens * (passed(engine, run) * wide + 4 * inF32) + pairBytes(model, run.method);
}

/** The pairs that a block's sites multiply with, where its method makes them of other tensors. */
function pairBytes({ sites, layers }: ModelFacts, method: AdapterOptions): number {
  if (!methodOf(method).makesPair) return 0;
  const adapted = sites.filter(({ site }) => method.targets.includes(site));
  const wide = adapted.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures + outFeatures, 0);
  return (4 * method.rank * wide) / layers;
}

function transientBytes(model: ModelFacts, engine: EngineFacts, run: RunShape, trained: number): number {
  const { hiddenSize, intermediateSize, attentionHeads } = model;
  // Rounded logits and head lie beside them; our own operations take half as many logits at a time then.
  const rounds = run.products === 'int8' && !engine.turnsWeights && engine.roundedCopies === 0;
  const logits = logitsBytes(model, engine, run.tokens);
  const loss = rounds ? logits * (1 + ROUNDED) + headNumbers(model) * BYTES.int8 : logits;
  const scores = engine.fusedAttention ? 0 : 2 * attentionHeads * run.sequenceLength;
  const gradients = run.tokens * (passed(engine, run) * (3 * intermediateSize + 2 * hiddenSize) + 4 * scores);
  // What is followed is read as the update left it, so that it can't take the old one's place.
  const unpacked = unpackedBytes(model, engine, run);
  const newWeights = engine.updatesInPlace && !methodOf(run.method).isFollowed ? 0 : 3 * trained;
  if (run.recompute || engine.lossLingers) return Math.max(loss + gradients + unpacked, newWeights);
  return Math.max(loss + unpacked, gradients + unpacked, newWeights);
}

/**
 * What a product unpacks of the largest matrix at a time, and what is made of its blocks on the way; or, where one in integers is
 * composed, what it rounds of it.
 */
function unpackedBytes(model: ModelFacts, engine: EngineFacts, run: RunShape): number {
  const sizes = model.sites.map(({ inFeatures, outFeatures }) => inFeatures * outFeatures);
  const largest = sizes.reduce((most, size) => Math.max(most, size), headNumbers(model));
  if (run.products === 'int8' && engine.roundedCopies > 0)
    return engine.roundedCopies * 4 * Math.min(largest, MOST_UNPACKED);
  return run.precision === 'f32' ? 0 : 2 * 4 * Math.min(largest, engine.unpacked);
}

const logitsBytes = ({ vocabularySize }: ModelFacts, engine: EngineFacts, tokens: number) =>
  4 * Math.min(engine.chunkTokens(vocabularySize), tokens) * vocabularySize * engine.logitsCopies;

/** A batch of held-out examples: one block at a time, in f32, and a chunk of logits. */
function evaluationBytes(model: ModelFacts, engine: EngineFacts, run: RunShape): number {
  const tokens = run.evaluationTokens;
  return blockBytes(model, engine, { ...run, tokens, products: 'f32' }, false) + logitsBytes(model, engine, tokens);
}

/** The keys and values of a prompt and its answer, which are kept one answer at a time in room that doubles as they grow. */
function answerBytes({ layers, keyValueHeads, headSize }: ModelFacts, run: RunShape): number {
  return run.evaluationTokens > 0 ? 2 * 4 * 2 * run.sequenceLength * keyValueHeads * headSize * layers : 0;
}

/**
 * Floating-point operations of a step a token, and with it of what its example brings to be seen: 2 a weight forward, 2 for the input's gradient, 2 more where blocks are
 * recomputed (frozen weights have no gradient); 6 to 8 a number of the adapter; attention over half of an example's tokens on
 * average, 2 products forward and 5 backward.
 * @param backward share of the blocks that have a backward pass, on the mean of the steps (policy prefix: `backwardShare`)
 */
export function flopsPerToken(model: ModelFacts, run: RunShape, exampleTokens: number, backward = 1): number {
  const { attentionHeads, headSize, layers, vocabularySize, hiddenSize, tiedEmbeddings } = model;
  const head = vocabularySize * hiddenSize;
  const blocks = model.parameters - (tiedEmbeddings ? 1 : 2) * head;
  const again = run.recompute ? 2 : 0;
  const passes = 2 + (2 + again) * backward;
  const adapter = (2 + (4 + again) * backward) * multipliedNumbers(model, run.method);
  const attention = (2 + (5 + again) * backward) * attentionHeads * headSize * exampleTokens * layers;
  const { flops = 0, flopsAgain = 0 } = run.seen ?? {};
  const seen = flops + (run.recompute ? flopsAgain : 0);
  return passes * blocks + 4 * head + adapter + attention + seen / exampleTokens;
}
