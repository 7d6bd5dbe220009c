import { app, session, shell } from 'electron';
import { SECURITY_HEADERS } from '../web/guard.ts';

/** The page shows the studio's own files and nothing else: no navigation, no windows, no permissions, a strict policy. */
export function harden(): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.on('will-navigate', (event) => event.preventDefault());
    contents.on('will-attach-webview', (event) => event.preventDefault());
    contents.setWindowOpenHandler(({ url }) => {
      if (url.startsWith('https://')) void shell.openExternal(url);
      return { action: 'deny' };
    });
  });
  session.defaultSession.setPermissionRequestHandler((_contents, _permission, answer) => answer(false));
  session.defaultSession.setPermissionCheckHandler(() => false);
  const policy = SECURITY_HEADERS['content-security-policy']!.replaceAll("'self'", "'self' effilora:");
  session.defaultSession.webRequest.onHeadersReceived(({ responseHeaders }, answer) =>
    answer({ responseHeaders: { ...responseHeaders, 'Content-Security-Policy': [policy] } }),
  );
}
