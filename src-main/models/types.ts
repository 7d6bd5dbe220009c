import type { ImplicitRows } from '../engine/implicit-rows.ts';
import type { TokenizerDescription } from './tokenizer/tokenizer.ts';
import type { VisionConfig } from './vision/towers/config.ts';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** The model families this room can run; further families (vision towers, diffusion) join this union. */
export type Architecture = 'llama' | 'qwen2' | 'qwen3' | 'gemma3';

/** The adapted linears of a decoder block, in the order of docs/method.md, Terms. */
export const DECODER_SITES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
export type SiteName = (typeof DECODER_SITES)[number];

/** RoPE: base and, where the file gives one, the scaling variant (names and fields as in Hugging Face `rope_scaling`). */
export interface RopeConfig {
  theta: number;
  /** gemma3: base of the sliding-window layers */
  localTheta?: number;
  /** M-RoPE: so many frequencies turn by the time, so many by the row and so many by the column of a token */
  sections?: [time: number, row: number, column: number];
  scaling?:
    | { type: 'linear'; factor: number }
    | { type: 'dynamic'; factor: number; originalContextLength: number }
    | {
        type: 'llama3';
        factor: number;
        lowFrequencyFactor: number;
        highFrequencyFactor: number;
        originalContextLength: number;
      }
    | {
        type: 'yarn';
        factor: number;
        originalContextLength: number;
        attentionFactor?: number;
        betaFast?: number;
        betaSlow?: number;
        /** whether the ramp begins and ends at whole frequencies; default true */
        truncate?: boolean;
      }
    /** a divisor per frequency, another one for sequences longer than the original context */
    | { type: 'longrope'; short: number[]; long: number[]; originalContextLength: number; attentionFactor: number }
    /** GGUF `rope_freqs.weight`: a divisor per frequency */
    | { type: 'factors'; factors: number[]; attentionFactor?: number };
}

/** Everything the forward pass needs to know of a decoder-only language model. */
export interface ModelConfig {
  architecture: Architecture;
  layers: number;
  hiddenSize: number;
  intermediateSize: number;
  attentionHeads: number;
  keyValueHeads: number;
  /** width of one attention head */
  headSize: number;
  vocabularySize: number;
  /** longest sequence, in tokens */
  contextLength: number;
  normEpsilon: number;
  rope: RopeConfig;
  /** the head is the transposed embedding */
  tiedEmbeddings: boolean;
  activation: 'silu' | 'gelu_tanh';
  /** bias on q/k/v (qwen2) or on all attention linears (llama attention_bias) */
  attentionBias: 'none' | 'qkv' | 'all';
  mlpBias: boolean;
  /** RMSNorm on each head's q and k (qwen3, gemma3) */
  queryKeyNorm: boolean;
  /** scores are multiplied by this, usually headSize^-0.5 */
  attentionScale: number;
  /** window in tokens per layer; undefined = full attention */
  slidingWindow: (number | undefined)[];
  /** gemma3: embeddings times sqrt(hiddenSize), norms scaled by (1 + weight), norms after attention and MLP too */
  gemmaNorms: boolean;
  bosTokenId?: number;
  eosTokenIds: number[];
}

/** One tensor of a model file under its Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`. */
export interface TensorInfo {
  name: string;
  /** row-major, as in Hugging Face: linears are [out, in] */
  shape: number[];
  /** type in the file: f32, f16, bf16, q8_0, q4_k, ... (GGUF names in lower case) */
  type: string;
  /** bytes in the file */
  byteLength: number;
}

export interface TensorPlace {
  path: string;
  /** bytes from the start of the file */
  offset: number;
  /** row i in Hugging Face order lies at order[i] in the file; undefined: in order */
  order?: number[];
}

export interface Tokenizer {
  /** ids of `text`; special tokens written in the text (such as <|im_start|>) become their single ids */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * Ids with the span of `text` that each stands for, in UTF-16 units. Parts of one character have all of it; a token that stands for
   * no text (a beginning or end put there) has an empty span.
   */
  encodeWithOffsets(
    text: string,
    options?: { addSpecialTokens?: boolean },
  ): { ids: number[]; offsets: [from: number, to: number][] };
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** the bytes one token stands for, so that streaming can hold back incomplete UTF-8 */
  tokenBytes(id: number): Uint8Array;
  readonly bosTokenId?: number;
  readonly eosTokenIds: number[];
  readonly vocabularySize: number;
  /** what it was made of, to be made again in another thread */
  readonly description: TokenizerDescription;
}

/** A part of a message's content, e.g. `{ type: 'text', text }`, as templates for several kinds of input take it. */
export interface ContentPart {
  type: string;
  text?: string;
  [more: string]: unknown;
}

/** A message as chat templates take it: what a dataset gives is passed to them untouched. */
export interface ChatMessage {
  /** system, user, assistant, tool, or what else the template knows */
  role: string;
  /** null or absent where a message holds tool calls alone */
  content?: string | null | ContentPart[];
  name?: string;
  /** the thought before the answer */
  reasoning_content?: string | null;
  tool_calls?: unknown[] | null;
  /** of a tool's message: the call that it answers */
  tool_call_id?: string | null;
  /** 0: an assistant's message that carries no loss; never shown to the template */
  weight?: number;
}

/** Messages with what their template is given besides. */
export interface Conversation {
  messages: ChatMessage[];
  tools?: unknown[];
  documents?: unknown[];
}

/** Texts of the special tokens, as templates are given them. */
export interface SpecialTexts {
  bos?: string;
  eos?: string;
  /** the further ones by their names, such as `pad_token` */
  others?: Record<string, string>;
}

/** What a template is given besides the messages. */
export interface TemplateOptions {
  addGenerationPrompt?: boolean;
  /** None to the template where absent */
  tools?: unknown[];
  documents?: unknown[];
  /** the time that strftime_now() tells; default: the present */
  now?: Date;
}

export interface ChatTemplate {
  readonly source: string;
  readonly tokens: SpecialTexts;
  /** the model's other template, for conversations with tools (`tool_use`) */
  readonly withTools?: ChatTemplate;
  /** the template rendered to text */
  render(messages: ChatMessage[], options?: TemplateOptions): string;
  /** likewise, with the places of its {% generation %} blocks */
  rendering(
    messages: ChatMessage[],
    options?: TemplateOptions,
  ): { text: string; generated: [from: number, to: number][] };
}

/** What a model sees pictures with, as it lies on disk. */
export interface SeeingFile {
  /** a folder, or an mmproj file: holds its weights, and says how pictures are prepared */
  place: string;
  config: VisionConfig;
  /** id of the token that stands for one feature of a picture */
  imageToken: number;
  /** of tower and connector, by names that begin with `tower.` or `connector.` */
  tensors: TensorInfo[];
  /** SHA-256 of the language model alone, where that is a whole model: an adapter may have been trained on it before it saw */
  textSha256?(): Promise<string>;
}

/** A base model as it lies on disk, opened: header read and validated, nothing large in memory yet. All that is known of every kind. */
export interface BaseModelFile {
  /** what it answers with */
  readonly makes: 'texts' | 'pictures';
  path: string;
  name: string;
  /** what the user should know of this model, a sentence each */
  warnings?: string[];
  /** bytes of all files */
  byteLength: number;
  /** SHA-256 (hex) of the file; of a folder: over the sorted weight files' hashes. Cached by path, size and mtime. */
  sha256(): Promise<string>;
  close(): Promise<void>;
}

/** A model that writes: of texts alone, or of pictures, too. */
export interface ModelFile extends BaseModelFile {
  readonly makes: 'texts';
  format: 'gguf' | 'huggingface';
  config: ModelConfig;
  /** of the language model */
  tensors: TensorInfo[];
  /** where it takes pictures */
  sees?: SeeingFile;
  tokenizer?: Tokenizer;
  chatTemplate?: ChatTemplate;
  /** codes of the languages (en, de) that its file or card names */
  languages?: string[];
  /** dequantized to f32, in Hugging Face layout (GGUF's llama q/k permutation undone, gemma's +1 undone) */
  readTensor(name: string): Promise<Float32Array>;
  /** where a tensor lies, for an engine that reads it into place itself */
  place(name: string): TensorPlace;
  /** the bytes as they lie in the file */
  readRaw(name: string): Promise<Uint8Array>;
}

/** One adapted linear inside the forward pass. */
export interface SiteId {
  block: number;
  /** of a decoder's block one of `SiteName`; of what sees pictures as vision/towers/sites.ts names it */
  site: string;
}

/** The tensors an adaptation needs inside one block, by name: explicit, so that a block can be recomputed in backward. */
export type LayerParameters = Record<string, Tensor2D | Tensor3D>;

/**
 * What the forward pass knows of an adapter: it adds something to each frozen linear's output.
 * effilora/adapter.ts implements this shape; models/ knows nothing of LoRA.
 */
export interface Adaptation {
  /**
   * Two adaptations of one structure differ only in the numbers of their tensors. Undefined: `apply` does something beside them
   * (observes, leaves heads out), so that no graph can be shared.
   */
  readonly structure?: string;
  /** tensors block `layer` uses (A, its B, its routers), trainable ones among them; of the language model unless a part is named */
  parameters(layer: number, part?: string): LayerParameters;
  /** whether it does anything in a part of the model beside the language model */
  adapts?(part: string): boolean;
  /** what it has in the place of one of the model's tensors, in its shape or as rows of its last axis */
  whole?(name: string): Tensor | undefined;
  /**
   * x [tokens, in], y = W x + b [tokens, out] -> adapted y; of a convolution a token is a place of its filter. `weight` gives the frozen
   * W [in, out] on demand, `bias` the frozen bias (DoRA).
   */
  apply(
    site: SiteId,
    x: Tensor2D | ImplicitRows,
    y: Tensor2D,
    parameters: LayerParameters,
    weight: () => Tensor2D,
    bias?: Tensor1D,
  ): Tensor2D;
}

/** One batch on the host. All arrays are [rows * length], row-major. */
export interface TokenBatch {
  rows: number;
  length: number;
  inputIds: Int32Array;
  /** -100 carries no loss; NOT shifted: the loss shifts them */
  labels: Int32Array;
  /** position inside the example, for RoPE */
  positions: Int32Array;
  /** which packed example a token belongs to, from 0 in each row; -1 = padding. Attention stays inside a segment. */
  segments: Int32Array;
  /** M-RoPE: times, then rows, then columns of all tokens; undefined: each is the position */
  axes?: Int32Array;
  /** the last token of its row that each token sees, from 0 in each row; undefined: itself */
  reach?: Int32Array;
}
