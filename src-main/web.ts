import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import fastifyStatic from '@fastify/static';
import fastifyWebsocket from '@fastify/websocket';
import { RPCHandler } from '@orpc/server/ws';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { UserError } from './engine/types.ts';
import { createRouter } from './studio/router.ts';
import type { Studio } from './studio/studio.ts';
import { judge, SECURITY_HEADERS, tokenCookie } from './web/guard.ts';
import { folderFiles, keepFolderUpload, keepUpload } from './web/upload.ts';
import type { FolderFiles } from './web/upload.ts';

export interface WebHostOptions {
  studio: Studio;
  /** the built renderer */
  rendererFolder: string;
  /** default 127.0.0.1; anything beyond loopback makes a token */
  host?: string;
  /** default: a free one */
  port?: number;
}

export interface WebHost {
  /** how to open it here; with the token, where there is one */
  url: string;
  /** the links others on the network use; empty on loopback */
  links: string[];
  close(): Promise<void>;
}

/** One message from a page, bytes: recipes and drafts are small. */
const MAX_MESSAGE_BYTES = 4 << 20;
const MAX_UPLOAD_BYTES = 256 * 2 ** 30;

/** Serves the studio to browsers: the page, the contract over a WebSocket, uploads. */
export async function startWebHost(options: WebHostOptions): Promise<WebHost> {
  const host = options.host ?? '127.0.0.1';
  const local = isLoopback(host);
  const token = local ? undefined : randomBytes(24).toString('base64url');
  const app = Fastify({ bodyLimit: MAX_UPLOAD_BYTES, forceCloseConnections: true });
  const names: string[] = [];
  guard(app, names, token);
  await app.register(fastifyWebsocket, { options: { maxPayload: MAX_MESSAGE_BYTES } });
  await app.register(fastifyStatic, {
    root: options.rendererFolder,
    cacheControl: true,
    // Built files carry a hash of their content in their name; index.html doesn't.
    setHeaders: (reply, path) =>
      void reply.header('cache-control', /[\\/]assets[\\/]/.test(path) ? 'public, max-age=31536000' : 'no-store'),
  });
  await routes(app, options.studio, local);
  await app.listen({ host, port: options.port ?? 0 });
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const addresses = local ? ['127.0.0.1', 'localhost', '[::1]'] : [...reachableAt(host), '127.0.0.1', 'localhost'];
  names.push(...addresses.map((name) => `${name}:${port}`));
  const links = local ? [] : reachableAt(host).map((name) => `http://${name}:${port}/?token=${token}`);
  return {
    url: links[0] ?? `http://${names[0]}`,
    links,
    close: () => app.close(),
  };
}

/** Nothing is answered, and no socket opened, before the guard has judged the request. */
function guard(app: FastifyInstance, hosts: string[], token: string | undefined): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    const verdict = judge(request.raw, { hosts, token });
    // A refused socket would otherwise stay open, as nobody takes it over.
    if (!verdict.ok && request.raw.headers.upgrade !== undefined)
      reply.raw.once('finish', () => request.raw.socket.destroySoon());
    if (!verdict.ok) return reply.code(verdict.status).type('text/plain').send(verdict.message);
    // The link's token moves into a cookie, out of the address bar and the history.
    if (token && request.method === 'GET' && request.url.includes('token='))
      return reply.header('set-cookie', tokenCookie(token)).redirect('/', 303);
    return undefined;
  });
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof UserError) return reply.code(400).type('text/plain').send(error.message);
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    if (status < 500) return reply.code(status).type('text/plain').send('That is not to be had here.');
    console.error(error);
    return reply.code(500).type('text/plain').send('Something in the studio went wrong. Its terminal says what.');
  });
}

async function routes(app: FastifyInstance, studio: Studio, local: boolean): Promise<void> {
  const handler = new RPCHandler(createRouter(studio));
  app.get('/rpc', { websocket: true }, (socket) => handler.upgrade(socket, { context: { local } }));
  await app.register(async (uploads) => {
    uploads.removeAllContentTypeParsers();
    uploads.addContentTypeParser('*', (_request, _payload, done) => done(null));
    uploads.post<{ Querystring: { name?: string } }>('/upload', async (request) => {
      const bytes = Number(request.headers['content-length'] ?? 0);
      const body: Readable = request.raw;
      return { path: await keepUpload(studio.uploadsFolder, request.query.name ?? 'file', bytes, body) };
    });
    uploads.post<{ Querystring: { name?: string; files?: string } }>('/upload-folder', async (request) => {
      const { name = 'folder', files = '' } = request.query;
      return { path: await keepFolderUpload(studio.uploadsFolder, name, readFiles(files), request.raw) };
    });
  });
  // Addresses inside the page (/runs/…) are the page's own to read.
  app.setNotFoundHandler((request, reply) => {
    const wantsPage = request.method === 'GET' && (request.headers.accept ?? '').includes('text/html');
    return wantsPage ? reply.sendFile('index.html') : reply.code(404).type('text/plain').send('There is nothing here.');
  });
}

function readFiles(json: string): FolderFiles {
  try {
    return folderFiles.parse(JSON.parse(json));
  } catch {
    throw new UserError('What was dropped is no folder the studio can take in. Reload the page and drop it again.');
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** The addresses a machine is reached at when it listens on `host`. */
function reachableAt(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host.includes(':') ? `[${host}]` : host];
  return Object.values(networkInterfaces())
    .flat()
    .filter((address) => address !== undefined && address.family === 'IPv4' && !address.internal)
    .map((address) => address!.address);
}

/** Where `electron-vite build` puts the page. */
export function builtRenderer(root: string): string {
  return join(root, 'out', 'renderer');
}
