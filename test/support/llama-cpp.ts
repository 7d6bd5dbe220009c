import { getLlama, type LlamaModel, type Token } from 'node-llama-cpp';

/** llama.cpp on the CPU with a model, as a judge of ours. Dispose it. */
export async function openLlamaCpp(path: string) {
  const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' as never });
  const model = await llama.loadModel({ modelPath: path });
  return {
    tokenize: (text: string): number[] => [...model.tokenize(text, true)],
    nextTokenProbabilities: (ids: readonly number[], every: number) => probabilities(model, ids, every),
    dispose: () => llama.dispose(),
  };
}

/** The probability of each token after the one at `position`, for every so many positions of the text. */
async function probabilities(model: LlamaModel, ids: readonly number[], every: number) {
  const context = await model.createContext({ contextSize: Math.max(256, ids.length + 1) });
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
