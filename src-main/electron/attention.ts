import { Notification, powerSaveBlocker } from 'electron';
import type { BrowserWindow } from 'electron';
import type { Studio } from '../studio/studio.ts';

/** While a run trains: its progress on the dock or taskbar, and no sleep. When it ends: a notification. */
export function followRuns(studio: Studio, window: () => BrowserWindow | undefined): void {
  let blocker: number | undefined;
  studio.queue.on('change', () => {
    const running = studio.runs.list(false).find(({ status }) => status === 'running');
    window()?.setProgressBar(running ? running.step / Math.max(1, running.steps) : -1);
    if (running && blocker === undefined) blocker = powerSaveBlocker.start('prevent-app-suspension');
    if (!running && blocker !== undefined) {
      powerSaveBlocker.stop(blocker);
      blocker = undefined;
    }
  });
  studio.queue.on('ended', ({ name, status, message }) => {
    if (studio.settings.values().notify && Notification.isSupported())
      new Notification({ title: `${name}: ${status}`, body: message ?? 'The adapter is in the run’s folder.' }).show();
  });
}
