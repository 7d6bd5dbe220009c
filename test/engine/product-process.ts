import * as tf from '@tensorflow/tfjs-core';
import { openEngine } from '../../src-main/engine/index.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';

// Prints a product that the engine computed, and computed again in a compiled step; built for install.test.ts (test/support/processes.ts).
await openEngine('tensorflow');
const [row, column] = [tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])];
const product = tf.matMul(row, column).dataSync()[0];
const step = () => ({ outputs: [tf.matMul(row, column)], updates: [] });
const compiled = await stepCompiler()!.compile({ feeds: [row, column], state: [], step, precision: 'f32' });
const [again] = (await compiled.run([Float32Array.of(1, 2), Float32Array.of(3, 4)]))[0]!;
console.log(again === product ? product : `${product} eager, ${again} compiled`);
