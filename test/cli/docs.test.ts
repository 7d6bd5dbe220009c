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

describe('docs/method.md', () => {
  const sections = page('docs/method.md').split(/^## /m).slice(1);
  const titleOf = (section: string) => section.slice(0, section.indexOf('\n')).replace(/ \(.*/, '');

  it('has the sections that comments cite', () => {
    const titles = new Set(sections.map(titleOf));
    const files = ['src-main', 'src-preload', 'src-renderer', 'test'].flatMap((room) =>
      fs
        .readdirSync(path.join(root, room), { recursive: true, encoding: 'utf8' })
        .filter(
          (name) => /\.(ts|mjs|py|vue)$/.test(name) && !name.includes('node_modules') && name !== 'cli/docs.test.ts',
        )
        .map((name) => path.join(room, name)),
    );
    const cited = files.flatMap((file) =>
      [...page(file).matchAll(/docs\/method\.md(?:, ([A-Z][\w ]*))?/g)].map(([, title]) => ({ file, title })),
    );
    expect(cited.length).toBeGreaterThan(20);
    expect(cited.filter(({ title }) => title === undefined || !titles.has(title))).toEqual([]);
  });

  it('names in every section but the reference cases the files that are it', () => {
    for (const section of sections) {
      const first = section.split('\n')[2]!;
      const files = /^`[^`]+\.ts`(, `[^`]+\.ts`)*$/.test(first) ? first.replaceAll('`', '').split(', ') : [];
      if (titleOf(section) !== 'Reference cases')
        expect({ section: titleOf(section), files }).not.toMatchObject({ files: [] });
      const missing = files.filter((file) => !fs.existsSync(path.join(root, 'src-main/effilora', file)));
      expect({ section: titleOf(section), missing }).toEqual({ section: titleOf(section), missing: [] });
    }
  });
});
