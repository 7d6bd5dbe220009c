import { installTensorflow } from '../../src-main/engine/tensorflow/install.ts';

// Installs the engine and says what is said; built for install.test.ts (test/support/processes.ts).
await installTensorflow(console.log).catch((error: Error) => console.log(`${error.name}: ${error.message}`));
