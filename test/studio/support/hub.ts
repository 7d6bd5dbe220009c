import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the stand-in hub has been asked for. */
export interface Asked {
  path: string;
  range?: string;
  authorization?: string;
}

/**
 * A hub on this machine that speaks the parts of the Hugging Face hub's API that the studio uses, with the repository
 * `acme/tiny` (a model, as a folder and as GGUF) and the dataset `acme/rows`.
 */
export async function startHub(files: Record<string, Buffer>) {
  const asked: Asked[] = [];
  /** `cut`: the next file is cut off after so many bytes, once the promise is kept */
  const faults: { cut?: { after: number; when: Promise<void> }; spoil?: boolean } = {};
  const tree = Object.entries(files).map(([path, data]) => {
    const gitBlob = createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
    const sha256 = createHash('sha256').update(data).digest('hex');
    const isLarge = /\.(safetensors|gguf|parquet)$/.test(path);
    return { type: 'file', path, size: data.length, oid: gitBlob, ...(isLarge ? { lfs: { oid: sha256 } } : {}) };
  });
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://hub');
    const path = decodeURIComponent(url.pathname);
    asked.push({ path, range: request.headers.range, authorization: request.headers.authorization });
    const json = (value: unknown) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    if (path === '/api/models' && url.searchParams.get('search') === 'tiny')
      return json([{ id: 'acme/tiny', downloads: 12, likes: 3, gated: false, tags: ['license:apache-2.0'] }]);
    if (path === '/api/models' || path === '/api/datasets') return json([]);
    if (/^\/api\/(models|datasets)\/acme\/(tiny|rows)\/tree\/main$/.test(path))
      return json([...tree, { type: 'directory', path: 'sub', oid: '' }, { ...tree[0], path: '../../way-out.gguf' }]);
    const file = files[/\/resolve\/main\/(.*)$/.exec(path)?.[1] ?? ''];
    if (path.includes('/acme/gated/')) return response.writeHead(401).end();
    if (!file) return response.writeHead(404).end();
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const body = faults.spoil ? Buffer.alloc(file.length - from) : file.subarray(from);
    faults.spoil = false;
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.length });
    if (!faults.cut) return response.end(body);
    const { after, when } = faults.cut;
    faults.cut = undefined;
    response.write(body.subarray(0, after));
    return when.then(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    faults,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
