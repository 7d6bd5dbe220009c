import type { IncomingMessage } from 'node:http';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import fastifyStatic from '@fastify/static';
import fastifyWebsocket from '@fastify/websocket';
import { RPCHandler } from '@orpc/server/ws';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { UserError } from './engine/types.ts';
import { keptSecret } from './studio/kept-secret.ts';
import { createRouter } from './studio/router.ts';
import type { Studio } from './studio/studio.ts';
import { judge, SECURITY_HEADERS, tokenCookie, tokenInLink, tokensOf } from './web/guard.ts';
import { exportFile } from './web/export-file.ts';
import type { Tokens } from './web/guard.ts';
import { discardBroken, folderFiles, keepFolderUpload, keepUpload, MOST_BYTES } from './web/upload.ts';
import { keepDatasetUpload } from './web/upload-dataset.ts';
import type { FolderFiles } from './web/upload.ts';

export interface WebHostOptions {
  studio: Studio;
  /** the built renderer */
  rendererFolder: string;
  /** default 127.0.0.1 */
  host?: string;
  /** default: a free one */
  port?: number;
}

export interface WebHost {
  /** how its owner opens it on this machine, with the owner's token */
  url: string;
  /** the links others on the network use, with the guests' token; empty on loopback */
  links: string[];
  close(): Promise<void>;
}

/** One message from a page, bytes: a picture to ask about (MOST_PICTURE_BYTES) in base64. */
const MAX_MESSAGE_BYTES = 28 << 20;
/** A body that isn't an upload: there is none. */
const MAX_BODY_BYTES = 1 << 10;
/** A request's headers have to be there by then, ms: a visitor that sends them byte by byte holds nothing open. */
const HEADERS_MS = 10_000;

/** Serves the studio to browsers: the page, the contract over a WebSocket, uploads. */
export async function startWebHost(options: WebHostOptions): Promise<WebHost> {
  const { studio, host = '127.0.0.1' } = options;
  const local = isLoopback(host);
  const tokens = tokensOf(await keptSecret(studio.dataFolder, 'web-token'));
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 1_000 },
  });
  guard(app, tokens);
  await app.register(fastifyWebsocket, { options: { maxPayload: MAX_MESSAGE_BYTES } });
  await app.register(fastifyStatic, {
    root: options.rendererFolder,
    cacheControl: true,
    // Built files carry a hash of their content in their name; index.html doesn't.
    setHeaders: (reply, path) =>
      void reply.header('cache-control', /[\\/]assets[\\/]/.test(path) ? 'public, max-age=31536000' : 'no-store'),
  });
  await discardBroken(studio.uploadsFolder);
  await routes(app, studio, tokens);
  await app.listen({ host, port: options.port ?? 0 });
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const link = (name: string, token: string) => `http://${name}:${port}/?token=${token}`;
  return {
    url: link(nameHere(host), tokens.owner),
    links: local ? [] : reachableAt(host).map((name) => link(name, tokens.guest)),
    close: () => app.close(),
  };
}

/** What a link's address is left for: from this page, as a cookie set on the way from elsewhere isn't sent along on that very way. */
const ENTERED =
  '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=./"><title>EffiLoRA Studio</title>';

/** Nothing is answered, and no socket opened, before the guard has judged the request. */
function guard(app: FastifyInstance, tokens: Tokens): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    const verdict = judge(request.raw, tokens);
    if (!verdict.ok) {
      // A refused socket would otherwise stay open, as nobody takes it over; a refused body would be read to its end.
      if (request.raw.headers.upgrade !== undefined) reply.raw.once('finish', () => request.raw.socket.destroySoon());
      else reply.header('connection', 'close');
      return reply.code(verdict.status).type('text/plain').send(verdict.message);
    }
    // The link's token moves into a cookie, out of the address bar and the history.
    if (request.method === 'GET' && request.raw.headers.upgrade === undefined && tokenInLink(request.url) !== undefined)
      return reply
        .headers({ 'set-cookie': tokenCookie(tokens, verdict.role), 'cache-control': 'no-store' })
        .type('text/html')
        .send(ENTERED);
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

/** The owner, and at this machine: through a port forwarded by SSH, too. */
function isOwnerHere(request: IncomingMessage, tokens: Tokens): boolean {
  const verdict = judge(request, tokens);
  const { remoteAddress = '', localAddress } = request.socket;
  const isHere = isLoopback(remoteAddress.replace('::ffff:', '')) || remoteAddress === localAddress;
  return verdict.ok && verdict.role === 'owner' && isHere;
}

async function routes(app: FastifyInstance, studio: Studio, tokens: Tokens): Promise<void> {
  const handler = new RPCHandler(createRouter(studio));
  app.get('/rpc', { websocket: true }, (socket, request) =>
    handler.upgrade(socket, { context: { local: isOwnerHere(request.raw, tokens) } }),
  );
  app.get<{ Params: { job: string } }>('/exports/:job', async (request, reply) => {
    const { headers, body } = await exportFile(studio.jobs.get(request.params.job));
    return reply.headers(headers).send(body);
  });
  await app.register(async (uploads) => {
    uploads.removeAllContentTypeParsers();
    uploads.addContentTypeParser('*', { bodyLimit: MOST_BYTES }, (_request, _payload, done) => done(null));
    uploads.post<{ Querystring: { name?: string } }>('/upload', { bodyLimit: MOST_BYTES }, async (request) => {
      const bytes = Number(request.headers['content-length'] ?? 0);
      const body: Readable = request.raw;
      return { path: await keepUpload(studio.uploadsFolder, request.query.name ?? 'file', bytes, body) };
    });
    uploads.post<{ Querystring: { name?: string; described?: string } }>(
      '/upload-dataset',
      { bodyLimit: MOST_BYTES },
      async (request) => {
        const { name = 'folder', described } = request.query;
        const bytes = Number(request.headers['content-length'] ?? 0);
        const { uploadsFolder } = studio;
        return { path: await keepDatasetUpload(uploadsFolder, name, Number(described), bytes, request.raw) };
      },
    );
    uploads.post<{ Querystring: { name?: string; files?: string } }>(
      '/upload-folder',
      { bodyLimit: MOST_BYTES },
      async (request) => {
        const { name = 'folder', files = '' } = request.query;
        return { path: await keepFolderUpload(studio.uploadsFolder, name, readFiles(files), request.raw) };
      },
    );
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

const isAny = (host: string) => host === '0.0.0.0' || host === '::';
const inLink = (host: string) => (host.includes(':') ? `[${host}]` : host);

/** The name under which the machine itself reaches what listens on `host`. */
function nameHere(host: string): string {
  return isAny(host) ? '127.0.0.1' : inLink(host);
}

/** The addresses and the name that a machine is reached at when it listens on `host`. */
function reachableAt(host: string): string[] {
  if (!isAny(host)) return [inLink(host)];
  const addresses = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address !== undefined && address.family === 'IPv4' && !address.internal)
    .map((address) => address!.address);
  return addresses.length > 0 ? addresses : [hostname()];
}

/** Where `electron-vite build` puts the page. */
export function builtRenderer(root: string): string {
  return join(root, 'out', 'renderer');
}
