import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findModels, modelCaches } from '../../src-main/studio/library/found.ts';
import { scratchFolder } from '../support/scratch.ts';

const DIGEST = 'a'.repeat(64);
const COMMIT = '0123456789abcdef0123456789abcdef01234567';

describe('models in the caches of other programs', () => {
  let scratch: ReturnType<typeof scratchFolder>;
  beforeEach(() => (scratch = scratchFolder()));
  afterEach(() => scratch.remove());

  function put(path: string, content: string): string {
    const full = join(scratch.folder, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    return full;
  }
  const find = (environment: NodeJS.ProcessEnv = {}) => findModels(modelCaches(environment, scratch.folder));

  it('are none where there are no caches', async () => {
    expect(await find()).toEqual([]);
  });

  it('are found where Hugging Face keeps them: links from a snapshot to blobs, whole ones only', async () => {
    const repository = '.cache/huggingface/hub/models--acme--tiny-1b';
    const snapshot = join(scratch.folder, repository, 'snapshots', COMMIT);
    put(`${repository}/refs/main`, COMMIT);
    put(`${repository}/snapshots/${COMMIT}/config.json`, '{}');
    for (const [index, content] of ['12345', '1234567'].entries()) {
      put(`${repository}/blobs/b${index}`, content);
      symlinkSync(`../../blobs/b${index}`, join(snapshot, `model-0000${index + 1}-of-00002.safetensors`));
    }
    put('.cache/huggingface/hub/models--acme--no-weights/snapshots/abc/config.json', '{}');
    put('.cache/huggingface/hub/models--acme--no-config/snapshots/abc/model.safetensors', '1');
    put('.cache/huggingface/hub/datasets--acme--rows/snapshots/abc/config.json', '{}');
    expect(await find()).toEqual([
      { name: 'acme/tiny-1b', path: snapshot, format: 'Hugging Face', bytes: 12, place: 'Hugging Face' },
    ]);
  });

  it('are found that make pictures: their parts in folders of a snapshot, and whole ones in a file', async () => {
    const snapshot = `.cache/huggingface/hub/models--acme--paints/snapshots/${COMMIT}`;
    put(`${snapshot}/model_index.json`, '{}');
    put(`${snapshot}/unet/diffusion_pytorch_model.safetensors`, '12345');
    put(`${snapshot}/vae/diffusion_pytorch_model.safetensors`, '12');
    put(`${snapshot}/safety_checker/model.safetensors`, '123');
    put('.cache/huggingface/hub/models--acme--index-alone/snapshots/abc/model_index.json', '{}');
    const path = put('ComfyUI/models/checkpoints/sd/drawn.safetensors', '1234');
    put('ComfyUI/models/checkpoints/put_checkpoints_here', '');
    expect(await find()).toEqual([
      { name: 'acme/paints', path: join(scratch.folder, snapshot), format: 'diffusers folder', bytes: 7, place: 'Hugging Face' }, // prettier-ignore
      { name: 'drawn', path, format: 'checkpoint in one file', bytes: 4, place: 'ComfyUI' },
    ]);
  });

  it('are found where LM Studio keeps them, now and before; projectors and later parts are no models', async () => {
    const path = put('.lmstudio/models/acme/tiny-GGUF/tiny-Q4_K_M.gguf', '1234');
    const earlier = put('.cache/lm-studio/models/acme/big-GGUF/big-00001-of-00002.gguf', '123');
    put('.cache/lm-studio/models/acme/big-GGUF/big-00002-of-00002.gguf', '12');
    put('.lmstudio/models/acme/tiny-GGUF/mmproj-tiny-f16.gguf', '12');
    put('.lmstudio/models/acme/tiny-GGUF/README.md', '12');
    put('.lmstudio/models/acme/tiny-GGUF/empty.gguf', '');
    expect(await find()).toEqual([
      { name: 'tiny-Q4_K_M', path, format: 'GGUF', bytes: 4, place: 'LM Studio' },
      { name: 'big-00001-of-00002', path: earlier, format: 'GGUF', bytes: 3, place: 'LM Studio' },
    ]);
  });

  it('are found where Ollama keeps them: the blob that a manifest names as the model', async () => {
    const manifests = '.ollama/models/manifests/registry.ollama.ai/library';
    const layer = (kind: string, digest: string) => ({ mediaType: `application/vnd.ollama.image.${kind}`, digest });
    const layers = [layer('license', `sha256:${'b'.repeat(64)}`), layer('model', `sha256:${DIGEST}`)];
    put(`${manifests}/tiny/1b`, JSON.stringify({ schemaVersion: 2, layers }));
    const path = put(`.ollama/models/blobs/sha256-${DIGEST}`, '123456');
    put(`.ollama/models/blobs/sha256-${'b'.repeat(64)}`, 'licence');
    // Broken, without its blob, and one that points out of the folder.
    put(`${manifests}/broken/latest`, '{"layers": [');
    put(`${manifests}/gone/latest`, JSON.stringify({ layers: [layer('model', `sha256:${'c'.repeat(64)}`)] }));
    put('.ollama/secret.gguf', 'secret');
    put(`${manifests}/evil/latest`, JSON.stringify({ layers: [layer('model', '../../secret.gguf')] }));
    expect(await find()).toEqual([{ name: 'tiny:1b', path, format: 'GGUF', bytes: 6, place: 'Ollama' }]);
  });

  it('are found where llama.cpp keeps them', async () => {
    const path = put('.cache/llama.cpp/acme_tiny_Q8_0.gguf', '12345678');
    put('.cache/llama.cpp/acme_tiny_Q8_0.gguf.json', '{}');
    expect(await find()).toEqual([{ name: 'acme_tiny_Q8_0', path, format: 'GGUF', bytes: 8, place: 'llama.cpp' }]);
  });

  it('are found where the environment has moved the caches to', async () => {
    put('hub/models--acme--tiny/snapshots/abc/config.json', '{}');
    put('hub/models--acme--tiny/snapshots/abc/model.safetensors', '12');
    put('llama/tiny.gguf', '1');
    const moved = { HF_HOME: scratch.folder, LLAMA_CACHE: join(scratch.folder, 'llama') };
    expect((await find(moved)).map(({ place, name }) => `${place}: ${name}`)).toEqual([
      'Hugging Face: acme/tiny',
      'llama.cpp: tiny',
    ]);
  });
});
