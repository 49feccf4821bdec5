import { statfsSync } from 'node:fs';

import { examine, reportText } from '../doctor/doctor.ts';

export async function doctor(options: { readonly config: string; readonly json?: boolean }): Promise<void> {
  const report = await examine(options.config, {
    now: () => new Date(),
    freeBytes: (folder) => {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize;
    },
    environment: process.env,
  });
  process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
  process.exitCode = report.healthy ? 0 : 2;
}
