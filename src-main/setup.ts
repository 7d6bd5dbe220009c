import { installTensorflow } from './engine/tensorflow/install.ts';
import { buildAddon } from './engine/tensorflow/addon-build.ts';
import { ensureDefaultModel } from './models/default-model.ts';

/** Sets up what lies outside node_modules. Each part that can't be had is one line; the others go on without it. */
export async function setUpParts(log: (line: string) => void): Promise<void> {
  const parts: [string, () => Promise<unknown>][] = [
    [
      'The tensorflow engine is missing, wasm serves instead',
      async () => buildAddon(await installTensorflow(log), log),
    ],
    ['The default model is missing, give a model of your own', () => ensureDefaultModel(log)],
  ];
  for (const [missing, setUpPart] of parts)
    await setUpPart().catch((error: Error) => log(`${missing}: ${error.message}`));
}
