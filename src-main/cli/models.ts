import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { ModelEntry } from '../../src-preload/contract/index.ts';
import { openLibrary } from '../studio/database/open.ts';
import { dataFolder } from '../studio/folders.ts';
import { ModelLibrary } from '../studio/library/models.ts';
import { command } from './command.ts';
import { printJson, size, table } from './output.ts';

const STATES: Record<ModelEntry['state'], string> = {
  ready: 'here',
  fetchable: 'comes when first used',
  missing: 'its file is gone',
  download: 'to be downloaded',
};

/** `effilora models`: what is there and where from. */
export function modelsCommand(program: Command): void {
  command(program, 'models', 'list the base models that are here, and where they come from', [
    'models',
    'models --json',
  ]).action(async ({ json }: { json?: boolean }) => {
    const library = openLibrary(path.join(dataFolder(), 'library.db'));
    try {
      const catalog = fileURLToPath(new URL('../../resources/models.json', import.meta.url));
      const { models, searched } = await new ModelLibrary(library, catalog).list();
      if (json) return printJson({ models, searched });
      const rows = models.map((model) => [
        model.name,
        STATES[model.state],
        size(model.bytes),
        model.licence ?? '',
        model.reference,
      ]);
      console.log(table(['model', 'state', 'size', 'licence', '--model'], rows));
      console.log(`\nLooked in:\n${searched.map((place) => `  ${place}`).join('\n')}`);
    } finally {
      library.close();
    }
  });
}
