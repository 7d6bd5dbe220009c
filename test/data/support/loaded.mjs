// Loads a module with tsx in this process, and prints the files of all that came with it, one a line. argv: the module.
import { register } from 'node:module';
import { register as registerTsx } from 'tsx/esm/api';

registerTsx();
// Asked before tsx is: each URL once it is known.
register(
  `data:text/javascript,${encodeURIComponent(`
    import fs from 'node:fs';
    export async function resolve(specifier, context, next) {
      const found = await next(specifier, context);
      fs.writeSync(1, found.url + '\\n');
      return found;
    }`)}`,
);
await import(process.argv[2]);
