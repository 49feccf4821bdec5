/** Looks at a folder for as long as the system lets it. */
import { watch } from 'node:fs';

/**
 * Calls `changed` at each change in the folder, and `failed` once where it cannot be watched, or no longer: the system allows a
 * user so many watches and open files. Returns what ends it.
 */
export function watchFolder(
  folder: string,
  changed: () => void,
  failed: (error: NodeJS.ErrnoException) => void,
): () => void {
  try {
    const watcher = watch(folder, changed);
    watcher.on('error', (error) => {
      watcher.close();
      failed(error);
    });
    return () => watcher.close();
  } catch (error) {
    failed(error as NodeJS.ErrnoException);
    return () => undefined;
  }
}
