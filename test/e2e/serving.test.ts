import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { studioWithAdapters } from './support/adapters.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser } from './support/studio.ts';

const execute = promisify(execFile);

describe.skipIf(noBrowser)(`serving from a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  const open = studioWithAdapters(async (folder) => {
    const model = writeTinyChatModel(join(folder, 'tiny-chat'));
    await writeRandomAdapter(join(folder, 'poems'), model, { strength: 4, seed: 2 });
    await writeRandomAdapter(join(folder, 'tuned'), model, { strength: 4 });
    await writeRandomAdapter(join(folder, 'foreign'), writeTinyChatModel(join(folder, 'other-model')));
    return ['foreign', 'poems', 'tuned'];
  });
  let page: Page;
  let errors: string[];
  beforeAll(async () => {
    ({ page, errors } = await open());
  });

  const card = () => page.getByRole('region', { name: 'For other programs' });
  async function serve(): Promise<string> {
    await card().getByLabel('Port').fill('0');
    await card().getByRole('button', { name: 'Serve' }).click();
    return (await card()
      .getByText(/^http:/)
      .textContent())!;
  }
  const key = async () => (await card().locator('code', { hasNotText: 'http' }).first().textContent())!;
  async function stop(): Promise<void> {
    await card().getByRole('button', { name: 'Stop serving' }).click();
    await card().getByRole('button', { name: 'Serve', exact: true }).waitFor();
  }
  const request = { messages: [{ role: 'user' as const, content: 'hello' }], max_tokens: 8, temperature: 0 };

  it('serves a base model and two adapters on it to the OpenAI client until they are stopped', async () => {
    // An adapter of another base model can't be served at the same address.
    await card().getByLabel('poems').waitFor();
    await expect
      .poll(() => card().getByRole('group', { name: 'Served beside it' }).getByRole('checkbox').count())
      .toBe(1);
    await card().getByLabel('poems').check();
    const baseURL = await serve();
    expect(new URL(baseURL).hostname).toBe('127.0.0.1');
    await checkAccessibility(page);
    await shoot(page, 'serving');
    const client = new OpenAI({ baseURL, apiKey: await key(), maxRetries: 0 });
    const names = (await client.models.list()).data.map(({ id }) => id);
    expect(names).toEqual(['tiny-chat', 'tuned', 'poems']);
    const listed = card().getByRole('list', { name: 'Models served' }).locator('code');
    await expect.poll(() => listed.allTextContents()).toEqual(names);
    const said = [];
    for (const name of names) {
      const answer = await client.chat.completions.create({ ...request, model: name });
      said.push(answer.choices[0]!.message.content);
    }
    expect(new Set(said).size).toBe(3);
    // What is there to copy is run as it is.
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const copied = async (name: string) => {
      await card().getByRole('button', { name }).click();
      await card()
        .getByText(`${name.split(' ').at(-1)} copied.`)
        .waitFor();
      return page.evaluate<string>('navigator.clipboard.readText()');
    };
    const byCurl = await execute('sh', ['-c', await copied('Copy as curl')]);
    expect(JSON.parse(byCurl.stdout)).toMatchObject({ object: 'chat.completion', model: 'tuned' });
    expect((await execute('python3', ['-c', await copied('Copy as Python')])).stderr).toBe('');
    await page.reload();
    await expect
      .poll(() =>
        card()
          .getByText(/^http:/)
          .textContent(),
      )
      .toBe(baseURL);
    // The other one's page shows the same address, and ends it, too.
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByRole('link', { name: 'poems' }).click();
    await stop();
    await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
  });

  it('asks for its API key', async () => {
    await card().getByLabel('For the whole network').check();
    const baseURL = await serve();
    const ask = (apiKey: string) => new OpenAI({ baseURL, apiKey, maxRetries: 0 }).models.list();
    await expect(ask('wrong')).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    expect((await ask(await key())).data.map(({ id }) => id)).toEqual(['tiny-chat', 'poems']);
    await stop();
    expect(errors).toEqual([]);
  });
});
