import { stepCompiler } from '../../src-main/engine/compiler.ts';

/** Times the compiler was asked, while `work` ran. */
export async function compilations(work: () => Promise<void>): Promise<number> {
  const compiler = stepCompiler()!;
  const compile = compiler.compile.bind(compiler);
  let count = 0;
  compiler.compile = (definition) => {
    count++;
    return compile(definition);
  };
  await work().finally(() => Reflect.deleteProperty(compiler, 'compile'));
  return count;
}
