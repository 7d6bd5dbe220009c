// A Debian package from a packed app's folder, made by Debian's own dpkg-deb: electron-builder's tool for it is fetched from a
// host that can't be reached everywhere.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const NAME = 'effilora-studio';
/** Folder and file modes as Debian's policy wants them, whatever the builder's umask. */
const [FOLDER, FILE, PROGRAM] = [0o755, 0o644, 0o755];
/** What Electron's program is linked against or starts; what the engine is fetched and compiled with is recommended. */
const DEPENDS = [
  'libgtk-3-0 | libgtk-3-0t64',
  'libnotify4',
  'libnss3',
  'libxss1',
  'libxtst6',
  'libatspi2.0-0 | libatspi2.0-0t64',
  'libsecret-1-0',
  'libasound2 | libasound2t64',
  'libgbm1',
  'xdg-utils',
];
const RECOMMENDS = ['python3-pip', 'g++'];

const DESKTOP = `[Desktop Entry]
Name=EffiLoRA Studio
Comment=Fine-tune language models on this machine
Exec=/opt/${NAME}/${NAME} %U
Icon=${NAME}
Terminal=false
Type=Application
Categories=Development;Science;
StartupWMClass=${NAME}
`;

// Ubuntu 24 and later let no program without a profile make the user namespaces of Chromium's sandbox.
const APPARMOR = `abi <abi/4.0>,
include <tunables/global>

profile ${NAME} "/opt/${NAME}/${NAME}" flags=(unconfined) {
  userns,

  include if exists <local/${NAME}>
}
`;

/** Where there are no user namespaces, Chromium's sandbox needs its helper to run as root (as Electron's own packages do). */
const AFTER_INSTALL = `#!/bin/sh
set -e
root="\${DPKG_ROOT:-}"
if ! { [ -L /proc/self/ns/user ] && unshare --user true 2> /dev/null; }; then
  chmod 4755 "$root/opt/${NAME}/chrome-sandbox"
fi
if [ -z "$root" ] && [ -d /sys/kernel/security/apparmor ] && apparmor_parser --skip-kernel-load /opt/${NAME}/resources/apparmor-profile > /dev/null 2>&1; then
  cp -f /opt/${NAME}/resources/apparmor-profile /etc/apparmor.d/${NAME}
  apparmor_parser --replace /etc/apparmor.d/${NAME} || true
fi
if [ -z "$root" ] && command -v update-desktop-database > /dev/null; then update-desktop-database -q || true; fi
`;
const AFTER_REMOVE = `#!/bin/sh
set -e
[ -n "\${DPKG_ROOT:-}" ] || rm -f /etc/apparmor.d/${NAME}
`;

export interface DebOptions {
  /** a packed app, whose program has the package's name */
  folder: string;
  /** the package is laid there */
  out: string;
  version: string;
  /** the checkout, for icon and licence */
  root: string;
  /** as dpkg-deb names it */
  compression?: 'xz' | 'gzip';
}

/**
 * Makes `effilora-studio_<version>_amd64.deb` of a packed app.
 * @returns the package's path
 * @throws Error where the folder holds no such app, or dpkg-deb refuses it
 */
export function makeDeb({ folder, out, version, root, compression = 'xz' }: DebOptions): string {
  if (!fs.existsSync(path.join(folder, NAME))) throw new Error(`${folder} holds no program ${NAME}`);
  const staging = fs.mkdtempSync(path.join(os.tmpdir(), `${NAME}-deb-`));
  try {
    const at = (...names: string[]) => path.join(staging, ...names);
    const write = (file: string, text: string | Buffer, mode = FILE) => {
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, text, { mode });
    };
    fs.cpSync(folder, at('opt', NAME), { recursive: true, verbatimSymlinks: true });
    write(at('opt', NAME, 'resources', 'apparmor-profile'), APPARMOR);
    write(at('usr', 'share', 'applications', `${NAME}.desktop`), DESKTOP);
    const icons = at('usr', 'share', 'icons', 'hicolor', '512x512', 'apps');
    fs.mkdirSync(icons, { recursive: true });
    fs.copyFileSync(path.join(root, 'resources', 'icon.png'), path.join(icons, `${NAME}.png`));
    write(at('usr', 'share', 'doc', NAME, 'copyright'), fs.readFileSync(path.join(root, 'LICENSE')));
    fs.mkdirSync(at('usr', 'bin'));
    fs.symlinkSync(`/opt/${NAME}/${NAME}`, at('usr', 'bin', NAME));
    const bytes = settle(staging);
    write(at('DEBIAN', 'control'), control(version, bytes));
    write(at('DEBIAN', 'postinst'), AFTER_INSTALL, PROGRAM);
    write(at('DEBIAN', 'postrm'), AFTER_REMOVE, PROGRAM);
    fs.mkdirSync(out, { recursive: true });
    const file = path.join(out, `${NAME}_${version}_amd64.deb`);
    execFileSync('dpkg-deb', ['--build', '--root-owner-group', `-Z${compression}`, staging, `${file}.part`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    fs.renameSync(`${file}.part`, file);
    return file;
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
}

/** Gives every folder and file the mode it is installed with. Returns the bytes of all files. */
function settle(folder: string): number {
  fs.chmodSync(folder, FOLDER);
  let bytes = 0;
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) bytes += settle(file);
    else if (entry.isFile()) {
      const { mode, size } = fs.statSync(file);
      fs.chmodSync(file, mode & 0o100 ? PROGRAM : FILE);
      bytes += size;
    }
  }
  return bytes;
}

function control(version: string, bytes: number): string {
  return `Package: ${NAME}
Version: ${version}
Section: devel
Priority: optional
Architecture: amd64
Maintainer: EffiLoRA Studio <effilora@localhost>
Installed-Size: ${Math.ceil(bytes / 1024)}
Depends: ${DEPENDS.join(', ')}
Recommends: ${RECOMMENDS.join(', ')}
Description: Fine-tune language models on the machine under your desk
 EffiLoRA Studio trains small adapters on a local GPU or processor and shows
 which of their heads matter.
`;
}
