import { createRequire } from 'node:module';

// tfjs-core's build for Node carries no gradient functions, and its dist/ is not loadable as modules there; the tfjs package,
// on which tfjs-node-gpu depends, registers them on the one tfjs-core in use.
createRequire(import.meta.url)('@tensorflow/tfjs');
