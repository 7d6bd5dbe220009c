import { Option, type Command } from 'commander';
import { WRITTEN_IN } from '../engine/products.ts';

const ENGINES = ['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu'];

/** A command with what every one has: `--json`, and examples under its help. */
export function command(program: Command, usage: string, description: string, examples: string[]): Command {
  return program
    .command(usage)
    .description(description)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', `\nExamples:\n${examples.map((example) => `  effilora ${example}`).join('\n')}`);
}

export const engineOption = () =>
  new Option('--engine <name>', 'where tensors live; see effilora engines').choices(ENGINES).default('auto');

export const modelOption = () =>
  new Option('--model <model>', 'a .gguf file, a Hugging Face folder, or a name that effilora models shows');

export const adapterOption = () => new Option('--adapter <path>', 'a run, an adapter folder or a PEFT folder');

export const precisionOption = () =>
  new Option(
    '--precision <name>',
    "what products with the model's weights are in; int8 is faster, its answers as llama.cpp's",
  )
    .choices(WRITTEN_IN)
    .default('f32');
