import { fileURLToPath } from 'node:url';
import type { GgmlType } from '../../src-main/models/gguf/types.ts';
import type { ModelConfig } from '../../src-main/models/types.ts';
import { python } from '../support/python.ts';
import { EFFILORA, llamaConfig } from '../support/random-step.ts';
import { Runner } from './runner.ts';

/** One configuration of our side. */
export interface GpuOptions {
  config: ModelConfig;
  rows: number;
  length: number;
  precision: 'f32' | 'bf16';
  /** of the frozen weights */
  weights: GgmlType;
}

/** What a side answers; the peer, where it has no GPU, only that. */
export interface Answer {
  seconds: number[];
  peakBytes: number;
  missing?: string;
}

/** A model of a shape, and the tokens of a step. */
export interface Shape {
  name: string;
  config: ModelConfig;
  rows: number;
  length: number;
  /** of our frozen weights; default as the products are. PyTorch's are as the products are */
  weights?: GgmlType;
}

const llama = (layers: number, hiddenSize: number, intermediateSize: number, attentionHeads: number, more: object) =>
  llamaConfig({
    ...{ layers, hiddenSize, intermediateSize, attentionHeads, headSize: 64, contextLength: 2048 },
    ...{ attentionScale: 64 ** -0.5, ...more },
  });

/** The shapes of Llama 3.2 1B. */
export const ONE_B = llama(16, 2048, 8192, 32, { keyValueHeads: 8, vocabularySize: 128_256 });

/** What both sides train on a GPU. */
export const SHAPES: Shape[] = [
  {
    name: 'SmolLM2-135M',
    config: llama(30, 576, 1536, 9, { keyValueHeads: 3, vocabularySize: 49_152 }),
    ...{ rows: 4, length: 256 },
  },
  {
    name: 'a 1B model (the shapes of Llama 3.2 1B)',
    config: ONE_B,
    ...{ rows: 4, length: 512 },
  },
  {
    name: 'a 7B model in four bits (the shapes of Llama 2 7B, its head tied)',
    config: llama(32, 4096, 11_008, 32, {
      headSize: 128,
      attentionScale: 128 ** -0.5,
      keyValueHeads: 32,
      vocabularySize: 32_000,
    }),
    ...{ rows: 1, length: 512, weights: 'q4_0' },
  },
];

/** So small that a software adapter gets through it: it shows that the comparison runs. */
const TINY: Shape = { name: 'a tiny model', config: llamaConfig({ layers: 1 }), rows: 1, length: 32 };
export const TINY_SHAPES: Shape[] = [TINY, { ...TINY, name: 'a tiny model in four bits', weights: 'q4_0' }];

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Of such a model, as transformers' LlamaConfig has it. */
export const configOfPeer = (config: ModelConfig) => ({
  hidden_size: config.hiddenSize,
  intermediate_size: config.intermediateSize,
  num_hidden_layers: config.layers,
  num_attention_heads: config.attentionHeads,
  num_key_value_heads: config.keyValueHeads,
  head_dim: config.headSize,
  vocab_size: config.vocabularySize,
  tie_word_embeddings: config.tiedEmbeddings,
});

/** The quickest of three steps after a first one, on either side. */
async function measured(runner: Runner<Answer>): Promise<Answer> {
  const first = await runner.run(1);
  const answer = first.missing ? first : await runner.run(3);
  runner.close();
  return answer;
}

/**
 * Prints tokens a second and peak device memory of a step of ours (EffiLoRA, rank 16, 3 heads, 7 sites, blocks recomputed) beside
 * PyTorch's with PEFT (LoRA, rank 16, same sites, gradient checkpointing), on the GPU that each finds. BENCH_PYTHON: a Python with
 * PyTorch for CUDA, transformers and PEFT.
 */
export async function besidePeer(
  { name, config, rows, length, weights }: Shape,
  precision: 'f32' | 'bf16',
): Promise<void> {
  console.log(`${name}, ${rows} x ${length} tokens, ${precision}`);
  const show = (side: string, { seconds, peakBytes, missing }: Answer) => {
    const speed = () => `${((rows * length) / Math.min(...seconds)).toFixed(0)} tokens/s`;
    console.log(`  ${side}: ${missing ?? `${speed()}, ${(peakBytes / 2 ** 20).toFixed(0)} MiB of the device at most`}`);
  };
  const options: GpuOptions = { config, rows, length, precision, weights: weights ?? precision };
  const ours = new Runner<Answer>(process.execPath, ['--import', 'tsx', here('./webgpu-step.ts')], options);
  show('ours', await measured(ours));
  const peer = new Runner<Answer>(process.env.BENCH_PYTHON ?? (await python()), [here('./peft_step.py')], {
    ...{ rows, length, precision, device: 'cuda', threads: 4, rank: EFFILORA.rank },
    ...{ config: configOfPeer(config), checkpointing: true, compile: false },
  });
  show('PyTorch and PEFT', await measured(peer));
}
