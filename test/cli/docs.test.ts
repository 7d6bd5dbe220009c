import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { recipeSchema } from '../../src-main/trainer/recipe.ts';
import { cli, root } from './support.ts';

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

it('docs/command-line.md and the README name every command, and each has help with examples', async () => {
  const { code, stdout } = await cli(['--help']);
  expect(code).toBe(0);
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+) .*\S/gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help');
  expect(commands).toEqual(
    expect.arrayContaining([
      'train',
      'plan',
      'eval',
      'generate',
      'inspect',
      'data',
      'models',
      'engines',
      'studio',
      'demo',
    ]),
  );
  for (const text of [page('docs/command-line.md'), page('README.md')])
    expect(commands.filter((name) => !text.includes(name))).toEqual([]);
  for (const name of commands) {
    const help = await cli([name, '--help']);
    expect({ name, code: help.code, stdout: help.stdout }).toEqual({
      ...{ name, code: 0 },
      stdout: expect.stringMatching(new RegExp(`Examples:\\n  effilora ${name}`)) as string,
    });
    if (name !== 'studio') expect(help.stdout).toContain('--json');
  }
});

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
