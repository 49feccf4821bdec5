/** Audits one log in a process of its own, and prints what that took: `node log-worker.ts <folder> <origin> <key in hex>`. */
import { openLog } from '@concordat/audit/open-log.ts';
import { auditLog } from '@concordat/audit/read-log.ts';
import { fromHex } from '@concordat/shared/wire/digest.ts';

export interface Audit {
  readonly seconds: number;
  /** Of all threads, in seconds. */
  readonly processor: number;
  /** Bytes. */
  readonly resident: number;
}

const [directory = '', origin = '', key = ''] = process.argv.slice(2);
const report = {
  find: (finding: unknown): void => {
    throw new Error(`a finding in an honest log: ${JSON.stringify(finding)}`);
  },
  note: (): void => {},
};
const before = process.cpuUsage();
const start = performance.now();
const source = openLog(directory);
let entries = 0;
for (const { entry } of auditLog(source, new Map([[origin, fromHex(key)]]), report)) entries = entry.n + 1;
source.close();
const { user, system } = process.cpuUsage(before);
const audit: Audit = {
  seconds: (performance.now() - start) / 1000,
  processor: (user + system) / 1e6,
  resident: 1024 * process.resourceUsage().maxRSS,
};
if (entries === 0) throw new Error('there are no entries');
console.log(JSON.stringify(audit));
