import { writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { studioWithAdapters } from './support/adapters.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { readDrawing, takeFile } from './support/kept-files.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser } from './support/studio.ts';

describe.skipIf(noBrowser)(`evaluation in a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  let model: string;
  const open = studioWithAdapters(async (folder) => {
    model = writeTinyChatModel(join(folder, 'tiny-chat'));
    await writeRandomAdapter(join(folder, 'arithmetic'), model, { strength: 4 });
    return ['arithmetic'];
  });
  let page: Page;
  let errors: string[];
  let client: StudioClient;
  let exported: string;
  let rows: string;
  beforeAll(async () => {
    ({ page, errors, client } = await open());
    const questions = ['sky', 'sea', 'ice', 'fog', 'sun', 'rain', 'snow', 'wind'].map((thing) => ({
      instruction: `Is ${thing} blue?\n\nAnswer format: yes/no`,
      input: '',
      output: 'it is not, no',
      answer: 'no',
    }));
    rows = join(dirname(model), 'sky.jsonl');
    writeFileSync(rows, questions.map((row) => JSON.stringify(row)).join('\n'));
    await client.datasets.add({ path: rows });
  });

  it('exports a PEFT folder with its fidelity, and enters it beside the exact adapter', async () => {
    await page.getByRole('button', { name: 'Export…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Export “arithmetic”' });
    await dialog.getByLabel('Calibrated on').selectOption({ label: 'Example: train' });
    await checkAccessibility(page);
    await dialog.getByRole('button', { name: 'Export', exact: true }).click();
    await dialog.getByText('✓ Exported').waitFor();
    await dialog.getByText('adapter_model.safetensors').waitFor();
    exported = (await dialog.locator('code').first().textContent())!.trim();
    await shoot(page, 'export');
    await dialog.getByRole('link', { name: 'Its entry in the library' }).click();
    await page.getByRole('heading', { name: 'arithmetic, as plain LoRA' }).waitFor();
    await page.locator('li', { hasText: 'exported from' }).first().waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: 'arithmetic', exact: true }).waitFor();
    await page.getByRole('link', { name: 'Evaluate' }).click();
  });

  it('evaluates base model and adapter, shows where they differ, and keeps the result', async () => {
    await expect.poll(() => page.getByLabel('arithmetic', { exact: true }).isChecked()).toBe(true);
    await page.getByRole('button', { name: 'Evaluate' }).click();
    await page
      .getByRole('alert')
      .getByText(/Choose a dataset to measure on/)
      .waitFor();
    await page.getByLabel('Measured on').selectOption(rows);
    await page.getByLabel('Examples at most').fill('8');
    await page.getByLabel('Name').fill('First look');
    await page.getByRole('button', { name: 'Evaluate' }).click();
    const result = page.getByRole('region', { name: 'First look' });
    await result.getByText(/8 examples of sky.jsonl/).waitFor();
    await expect.poll(() => result.getByRole('region', { name: 'Result' }).getByRole('row').count()).toBe(3);
    await result.getByText('Keep the accuracies as a file').click();
    const csv = (await takeFile(page, 'Accuracy of First look as CSV')).bytes.toString().trim().split(/\r?\n/);
    expect(csv).toEqual([
      'What,Loss,Accuracy,From,To',
      expect.stringMatching(/^Base model(,[\d.]+){4}$/),
      expect.stringMatching(/^arithmetic(,[\d.]+){4}$/),
    ]);
    const { error, texts } = await readDrawing(page, (await takeFile(page, 'Accuracy of First look as SVG')).bytes);
    expect([error, texts]).toEqual([0, expect.arrayContaining(['Accuracy of First look', 'arithmetic', '100 %'])]);
    await checkAccessibility(page);
    await shoot(page, 'evaluation');
    // From anywhere the tray leads back to what it measured.
    await page.getByRole('link', { name: 'Settings' }).click();
    const tray = page.getByRole('list', { name: 'Jobs' });
    await page.getByText(/^Jobs/).click();
    await tray.getByRole('listitem').filter({ hasText: 'First look' }).getByRole('link', { name: 'Show' }).click();
    await result.getByText(/8 examples of sky.jsonl/).waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'First look', exact: true }).click();
    await result.getByText(/8 examples of sky.jsonl/).waitFor();
    await page.getByRole('button', { name: 'Delete First look' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete for good' }).click();
    await page.getByRole('button', { name: 'First look', exact: true }).waitFor({ state: 'detached' });
  });

  it('takes the PEFT folder in where it is dropped, once its base model is named', async () => {
    await client.models.add({ path: model });
    await page.getByRole('link', { name: 'Library' }).click();
    await dragOnto(page.getByRole('heading', { name: 'Library', exact: true }), [exported]);
    const dialog = page.getByRole('dialog', { name: 'Import an adapter' });
    await dialog
      .getByRole('alert')
      .getByText(/doesn't say which model it was made for/)
      .waitFor();
    await dialog.getByLabel('Base model').selectOption({ label: 'tiny-chat' });
    await dialog.getByRole('button', { name: 'Import', exact: true }).click();
    await page.getByRole('heading', { name: basename(exported), exact: true }).waitFor();
    await page.getByText(/^lora · tiny-chat/).waitFor();
    expect(errors).toEqual([]);
  });
});
