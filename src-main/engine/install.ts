import { buildAddon } from './tensorflow/addon-build.ts';
import { installTensorflow } from './tensorflow/install.ts';

/**
 * Sets up what an engine needs beside this package: TensorFlow's libraries from their wheel, and what is compiled against them.
 * What is there already stays.
 * @throws UserError in one sentence where that isn't possible here
 */
export async function setUpEngine(log: (line: string) => void): Promise<void> {
  await buildAddon(await installTensorflow(log), log);
}
