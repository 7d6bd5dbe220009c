import * as tf from '@tensorflow/tfjs-core';
import { openEngine } from '../../src-main/engine/index.ts';

// Prints a product that the engine computed; built for install.test.ts (test/support/processes.ts).
await openEngine('tensorflow');
console.log(tf.matMul([[1, 2]], [[3], [4]]).dataSync()[0]);
