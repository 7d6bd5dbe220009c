import { getLlama, type Llama, type LlamaModel, type Token } from 'node-llama-cpp';

type Level = 'error' | 'disabled';
/** by what it logs; opened once a process, as it tries its library in a process of its own first */
const opened: Partial<Record<Level, Promise<Llama>>> = {};
const llamaCpp = (logLevel: Level) =>
  (opened[logLevel] ??= getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: logLevel as never }));

/** llama.cpp on the CPU with a model, and a LoRA file on it, as a judge of ours. Dispose it. */
export async function openLlamaCpp(path: string, lora?: string) {
  const llama = await llamaCpp('error');
  const model = await llama.loadModel({ modelPath: path });
  return {
    tokenize: (text: string): number[] => [...model.tokenize(text, true)],
    nextTokenProbabilities: (ids: readonly number[], every: number) => probabilities(model, ids, every),
    greedy: (ids: readonly number[], tokens: number) => greedy(model, lora, ids, tokens),
    dispose: () => model.dispose(),
  };
}

/** llama.cpp as a judge of tokenizers: opens files that hold no weights. */
export async function openLlamaCppVocabularies() {
  const llama = await llamaCpp('disabled');
  return {
    async open(path: string) {
      const model = await llama.loadModel({ modelPath: path, vocabOnly: true });
      return {
        tokenize: (text: string): number[] => [...model.tokenize(text, true)],
        bos: model.tokens.bos,
        addsBos: model.tokens.shouldPrependBosToken,
        addsEos: model.tokens.shouldAppendEosToken,
        endsText: (id: number) => model.isEogToken(id as Token),
        dispose: () => model.dispose(),
      };
    },
  };
}

/** A file's vocabulary as llama.cpp has it. */
export type Vocabulary = Awaited<ReturnType<Awaited<ReturnType<typeof openLlamaCppVocabularies>>['open']>>;

/** The probability of each token after the one at `position`, for every so many positions of the text. */
async function probabilities(model: LlamaModel, ids: readonly number[], every: number) {
  const context = await model.createContext({ contextSize: Math.max(256, ids.length + 1), threads: 1 });
  const sequence = context.getSequence();
  const generateNext = { probabilities: true, options: { temperature: 1, topK: 0, topP: 1 } };
  const outputs = await sequence.controlledEvaluate(
    ids.map((id, position) => (position % every === 0 ? [id as Token, { generateNext }] : (id as Token))),
  );
  await context.dispose();
  return outputs.flatMap((output, position) =>
    output?.next.probabilities ? [{ position, probabilities: output.next.probabilities }] : [],
  );
}

/** The likeliest token each time, up to the one that ends the text, which is the last one given. */
async function greedy(model: LlamaModel, lora: string | undefined, ids: readonly number[], tokens: number) {
  const context = await model.createContext({ contextSize: Math.max(256, ids.length + tokens), threads: 1, lora });
  const sequence = context.getSequence();
  const out: number[] = [];
  const evaluated = sequence.evaluate([...ids] as Token[], { temperature: 0, yieldEogToken: true });
  for await (const token of evaluated) {
    out.push(token);
    if (out.length === tokens || model.isEogToken(token)) break;
  }
  await context.dispose();
  return out;
}
