import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { commandLine } from '../../src-main/cli.ts';
import { recipeSchema } from '../../src-main/recipe/recipe.ts';
import { root } from './support.ts';

const page = (name: string) => fs.readFileSync(path.join(root, name), 'utf8');

/** Every key of the recipe's schema, as JSON Schema names them. */
function keysOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { properties, ...rest } = schema as { properties?: Record<string, unknown> };
  const own = properties ? Object.keys(properties) : [];
  return [...own, ...Object.values(properties ?? {}).flatMap(keysOf), ...Object.values(rest).flatMap(keysOf)];
}

it('docs/recipes.md tells of every key a recipe may have', () => {
  const text = page('docs/recipes.md');
  const keys = [...new Set(keysOf(z.toJSONSchema(recipeSchema, { io: 'input' })))];
  expect(keys.length).toBeGreaterThan(40);
  // `path` and the like stand together in one row.
  expect(keys.filter((key) => !new RegExp(`[\`{ ]${key}[\`,}]`).test(text))).toEqual([]);
});

describe.each((await commandLine()).commands.map((command) => [command.name(), command] as const))(
  'effilora %s',
  (name, command) => {
    it('is in docs/command-line.md and the README', () => {
      for (const text of [page('docs/command-line.md'), page('README.md')])
        expect(text.includes(`\`${name}`)).toBe(true);
    });

    it('has help with examples, and --json', () => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toContain(`\nExamples:\n  effilora ${name}`);
      // What is served goes on until it is ended.
      if (!['studio', 'serve-model'].includes(name)) expect(help).toContain('--json');
    });
  },
);

it('the pages link to files that are there', () => {
  for (const name of ['README.md', ...fs.readdirSync(path.join(root, 'docs')).map((file) => `docs/${file}`)]) {
    if (!name.endsWith('.md')) continue;
    const links = [...page(name).matchAll(/\]\(([^)#:]+)\)/g)].map(([, link]) => link!);
    // Pictures are made by the studio's own tests.
    const missing = links.filter(
      (link) => !link.includes('images/') && !fs.existsSync(path.join(root, path.dirname(name), link)),
    );
    expect({ name, missing }).toEqual({ name, missing: [] });
  }
});
